"""Transitions of a job after reports of runners."""

import pytest

from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.planning.attempt import transitions
from cloud_builder.planning.attempt.transitions import RUNNER_STOPPED, RetryPolicy
from cloud_builder.planning.inputs.inputs import Readiness, input_key, inputs_of, readiness
from support.factories import job, report

POLICY = RetryPolicy(max_errors=3, delay=2.0)


def key(job, used):
    return input_key(job, inputs_of(job, used))


def assigned(**more):
    return transitions.assign(job(**more), "r1", 1.0, 10.0)


@pytest.mark.parametrize("outcome", [Outcome.SUCCESS, Outcome.FAILURE, Outcome.CANCELED])
def test_outcome_other_than_error_finishes_a_job_at_the_first_attempt(outcome):
    after = transitions.finish(assigned(), report(assigned(), outcome, message="m"), POLICY, 20.0)
    assert (after.state, after.outcome, after.message) == (JobState.FINISHED, outcome, "m")


def test_errors_are_retried_with_growing_delay_and_end_with_the_cause():
    state, delays = assigned(), []
    while not state.is_finished:
        state = transitions.finish(state, report(state, Outcome.ERROR, message="disk is gone"), POLICY, 100.0)
        if not state.is_finished:
            delays.append(state.not_before - 100.0)
            state = transitions.assign(state, "r1", 1.0, 100.0)
    assert delays == [2.0, 4.0]
    assert (state.outcome, state.attempt) == (Outcome.ERROR, 3)
    assert "disk is gone" in state.message


def test_delay_of_a_retry_has_a_maximum():
    policy = transitions.RetryPolicy(max_errors=10_000, delay=2.0)
    assert [policy.wait(errors) for errors in (1, 5, 6, 9_999)] == [2.0, 32.0, 60.0, 60.0]


def test_job_of_a_stopped_runner_is_queued_at_once_without_an_error():
    after = transitions.finish(assigned(), report(assigned(), Outcome.ERROR, code=RUNNER_STOPPED), POLICY, 50.0)
    assert (after.state, after.errors, after.not_before) == (JobState.QUEUED, 0, 50.0)


@pytest.mark.parametrize(
    ("state", "attempt", "current"),
    [
        (assigned(), 1, True),
        (assigned(), 2, False),
        (job(), 0, False),
        (transitions.cancel(assigned(), "x"), 1, False),
        (None, 1, False),
    ],
)
def test_only_the_current_attempt_of_an_assigned_job_counts(state, attempt, current):
    assert transitions.is_current(state, attempt) is current


GOOD = job(1, state=JobState.FINISHED, outcome=Outcome.SUCCESS)
REUSED = job(2, state=JobState.FINISHED, outcome=Outcome.REUSED)
FAILED = job(3, state=JobState.FINISHED, outcome=Outcome.FAILURE)
STOPPED = job(4, state=JobState.FINISHED, outcome=Outcome.CANCELED)
OPEN = job(5)


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ([], Readiness.START),
        ([GOOD, REUSED], Readiness.START),
        ([GOOD, OPEN], Readiness.WAIT),
        ([OPEN, FAILED], Readiness.SKIP),
        ([STOPPED, GOOD], Readiness.CANCEL),
        ([STOPPED, FAILED], Readiness.SKIP),
    ],
)
def test_readiness_follows_from_the_states_of_the_needs(needs, expected):
    assert readiness(needs)[0] is expected


@pytest.mark.parametrize(
    "change", [{"tree": "c" * 40}, {"buildroot": "d" * 64}, {"repositories": "e" * 64}, {"name": "x"}]
)
def test_input_key_changes_with_each_input(change):
    assert key(job(**change), ()) != key(job(), ())


def test_input_key_ignores_requester_revision_and_directory():
    moved = job(7, request_id="other", revision="f" * 40, unit="elsewhere/u1", name="u1")
    assert key(moved, ()) == key(job(1), ())
