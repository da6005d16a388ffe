"""The first round of a dependency cycle: a build without dependencies that are not built yet."""

from __future__ import annotations

from threading import Event

from cloud_builder.model.limits import Limits
from cloud_builder.model.outcome import Outcome


def test_profile_nocheck_builds_without_dependencies_of_the_tests(workspace, unit) -> None:
    control = unit / "debian" / "control"
    text = control.read_text()
    control.write_text(text.replace("Build-Depends:", "Build-Depends: not-built-yet <!nocheck>,", 1))
    assignment = workspace.assignment("broken", Limits(), ()).model_copy(update={"profiles": ("nocheck",)})
    workspace.log = bytearray()
    finished = workspace.builder.build(assignment, workspace.log.extend, Event())
    assert finished.outcome is Outcome.SUCCESS, finished.message
    assert "./test_greet" not in workspace.log_text()
    without = workspace.build("broken")
    assert (without.outcome, without.step) == (Outcome.FAILURE, "dependencies")
    assert "not-built-yet" in without.message
