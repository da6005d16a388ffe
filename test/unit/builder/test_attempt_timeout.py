"""The time limit of a whole attempt."""

from threading import Event

import pytest

from cloud_builder.builder.attempt_timeout import AttemptTimeout
from cloud_builder.model.limits import Limits
from cloud_builder.model.outcome import Outcome
from support.waiting import LIMIT


@pytest.mark.parametrize(
    ("step", "expected"),
    [("fetch", Outcome.ERROR), ("root", Outcome.ERROR), ("build", Outcome.FAILURE), ("upload", Outcome.ERROR)],
)
def test_timeout_is_a_failure_in_steps_of_the_source_and_else_an_error(step, expected):
    cancel = Event()
    with AttemptTimeout(Limits(deadline=0.01), cancel) as timeout:
        assert cancel.wait(LIMIT)
    assert timeout.has_passed
    outcome = timeout.outcome(step)
    assert (outcome.outcome, outcome.code) == (expected, "limit-deadline")
    assert f"{step}: the whole attempt took longer than the limit `deadline`, 0.01 s" in outcome.message


def test_attempt_that_was_canceled_before_has_not_timed_out():
    cancel = Event()
    with AttemptTimeout(Limits(deadline=60), cancel) as timeout:
        cancel.set()
    assert not timeout.has_passed


def test_default_limit_of_an_attempt_is_four_times_the_limit_time():
    assert (Limits(time=100).whole, Limits(time=100, deadline=7).whole) == (400, 7)
