"""The first round of a dependency cycle: a build without dependencies that are not built yet."""

from __future__ import annotations

from threading import Event

from cloud_builder.model.limits import Limits
from cloud_builder.model.outcome import Outcome


def test_profile_nocheck_builds_without_dependencies_of_the_tests(workspace, unit) -> None:
    control = unit / "debian" / "control"
    text = control.read_text()
    control.write_text(text.replace("Build-Depends:", "Build-Depends: not-built-yet <!nocheck>,", 1))
<<<<<<< HEAD
    assignment = workspace.assignment("broken", Limits(), ()).model_copy(update={"profiles": ("nocheck",)})
    workspace.log = bytearray()
    finished = workspace.builder.build(assignment, workspace.log.extend, Event())
    assert finished.outcome is Outcome.SUCCESS, finished.message
    assert "./test_greet" not in workspace.log_text()
    without = workspace.build("broken")
=======
    order = workshop.order("broken", Limits(), ()).model_copy(update={"profiles": ("nocheck",)})
    workshop.log = bytearray()
    ended = workshop.builder.build(order, workshop.log.extend, Event())
    assert ended.outcome is Outcome.SUCCESS, ended.message
    assert "./test_greet" not in workshop.log_text()
    without = workshop.build("broken")
>>>>>>> 62a5859 (test: end-to-end tests, chaos, bench and boot in plain terms)
    assert (without.outcome, without.step) == (Outcome.FAILURE, "dependencies")
    assert "not-built-yet" in without.message
