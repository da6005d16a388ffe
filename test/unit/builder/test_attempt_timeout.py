"""The time of a whole attempt."""

from threading import Event

import pytest

from cloud_builder.builder.attempt_timeout import AttemptTimeout
from cloud_builder.model.limits import Limits
from cloud_builder.model.outcome import Outcome
from support.waiting import LIMIT


@pytest.mark.parametrize(
    ("step", "outcome"),
    [("fetch", Outcome.ERROR), ("root", Outcome.ERROR), ("build", Outcome.FAILURE), ("upload", Outcome.ERROR)],
)
def test_what_takes_too_long_is_ended_and_whose_fault_it_is_depends_on_the_step(step, outcome):
    cancel = Event()
    with AttemptTimeout(Limits(deadline=0.01), cancel) as deadline:
        assert cancel.wait(LIMIT)
    assert deadline.has_passed
    verdict = deadline.verdict(step)
    assert (verdict.outcome, verdict.code) == (outcome, "limit-deadline")
    assert f"{step}: the whole attempt took longer than the limit `deadline`, 0.01 s" in verdict.message


def test_who_was_told_to_stop_before_did_not_take_too_long():
    cancel = Event()
    with AttemptTimeout(Limits(deadline=60), cancel) as deadline:
        cancel.set()
    assert not deadline.has_passed


def test_without_a_word_an_attempt_has_four_times_the_time_of_its_build():
    assert (Limits(time=100).whole, Limits(time=100, deadline=7).whole) == (400, 7)
