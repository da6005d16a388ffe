"""The first round of a dependency cycle: a build that leaves out what is not there yet."""

from __future__ import annotations

from threading import Event

from cloud_builder.model.limits import Limits
from cloud_builder.model.outcome import Outcome


def test_a_build_with_the_profile_nocheck_does_without_what_its_tests_need(workshop, unit) -> None:
    control = unit / "debian" / "control"
    text = control.read_text()
    control.write_text(text.replace("Build-Depends:", "Build-Depends: not-built-yet <!nocheck>,", 1))
    order = workshop.order("broken", Limits(), ()).model_copy(update={"profiles": ("nocheck",)})
    workshop.log = bytearray()
    ended = workshop.builder.build(order, workshop.log.extend, Event())
    assert ended.outcome is Outcome.SUCCESS, ended.message
    assert "./test_greet" not in workshop.said()
    without = workshop.build("broken")
    assert (without.outcome, without.step) == (Outcome.FAILURE, "dependencies")
    assert "not-built-yet" in without.message
