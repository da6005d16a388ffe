"""Poison jobs are distinguished from jobs that lost their runner by chance."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.planning.attempt import poison, transitions
from cloud_builder.planning.attempt.transitions import RUNNER_RESTARTED, RUNNER_STOPPED, RetryPolicy
from support.factories import job, report

POLICY = RetryPolicy(max_errors=10, delay=2.0, poison_after=2, confirm_wait=24.0)


def running(runner="r1", incarnation=1.0, **more):
    return transitions.start(transitions.assign(job(**more), runner, incarnation, 10.0), 11.0)


def running_again(record, runner, incarnation=1.0):
    return transitions.start(transitions.assign(record, runner, incarnation, 100.0), 101.0)


def after_silence(record):
    loss = poison.runner_loss(record, is_confirmed=False)
    return transitions.retry_or_fail(record, f"runner {record.runner_id} was silent", POLICY, 50.0, loss=loss)


def after_restart(record):
    restarted = report(record, Outcome.ERROR, code=RUNNER_RESTARTED, message="ended while it built this")
    return transitions.finish(record, restarted, POLICY, 50.0)


def test_job_that_lost_two_runners_fails_and_names_them():
    first = after_restart(running("r1"))
    assert first.state is JobState.QUEUED
    second = after_restart(running_again(first, "r2"))
    assert (second.outcome, second.code, second.loss_count) == (Outcome.FAILURE, "poison", 2)
    assert second.message == "lost its runner twice: r1 (attempt 1), r2 (attempt 2)"
    assert second.hint


def test_attempt_that_had_not_started_is_no_runner_loss():
    waiting = transitions.assign(job(), "r1", 1.0, 10.0)
    assert after_restart(waiting).loss_count == 0
    assert after_silence(waiting).loss_count == 0


@pytest.mark.parametrize("code", ["machine", RUNNER_STOPPED, "lost-broker", "sandbox"])
def test_other_errors_are_no_runner_losses(code):
    ended = transitions.finish(running(), report(running(), Outcome.ERROR, code=code), POLICY, 50.0)
    assert ended.loss_count == 0


def test_suspected_loss_is_dropped_when_the_runner_is_seen_again():
    record = after_silence(running_again(after_silence(running("r1")), "r2"))
    assert (record.loss_count, record.not_before) == (2, 50.0 + POLICY.confirm_wait)
    updated = transitions.on_runner_seen(record, "r2", 1.0, POLICY, 60.0)
    assert (updated.state, updated.loss_count, updated.not_before) == (JobState.QUEUED, 1, 60.0)


def test_suspected_loss_is_confirmed_when_the_runner_has_restarted():
    record = after_silence(running_again(after_restart(running("r1")), "r2"))
    assert record.state is JobState.QUEUED
    updated = transitions.on_runner_seen(record, "r2", 500.0, POLICY, 60.0)
    assert (updated.outcome, updated.code) == (Outcome.FAILURE, "poison")


def test_heartbeat_of_a_lost_runner_keeps_the_attempt_on_another_runner():
    record = running_again(after_silence(running("r1")), "r2")
    for incarnation, losses in ((1.0, 0), (5.0, 0), (500.0, 1)):
        updated = transitions.on_runner_seen(record, "r1", incarnation, POLICY, 60.0)
        assert (updated.state, updated.attempt, updated.loss_count) == (JobState.RUNNING, 2, losses)


STEPS = st.lists(
    st.tuples(st.sampled_from(["restart", "silent", "error", "stop"]), st.sampled_from(["same", "new", ""]))
)


@given(STEPS)
def test_each_runner_loss_counts_once(steps):
    """In any sequence of errors, silences and returns a poison job has the required number of confirmed losses."""
    policy = RetryPolicy(max_errors=1000, delay=2.0, poison_after=2)
    record, confirmed, suspected = job(), 0, 0
    for number, (what, comes_back) in enumerate(steps):
        runner = f"r{number}"
        record = transitions.start(transitions.assign(record, runner, 1.0, 10.0), 11.0)
        if what == "silent":
            loss = poison.runner_loss(record, is_confirmed=False)
            record = transitions.retry_or_fail(record, "silent", policy, 50.0, loss=loss)
            confirmed, suspected = confirmed + (comes_back == "new"), suspected + (not comes_back)
            if comes_back:
                incarnation = 1.0 if comes_back == "same" else 500.0
                record = transitions.on_runner_seen(record, runner, incarnation, policy, 60.0)
        else:
            code = {"restart": RUNNER_RESTARTED, "error": "machine", "stop": RUNNER_STOPPED}[what]
            record = transitions.finish(record, report(record, Outcome.ERROR, code=code), policy, 50.0)
            confirmed += what == "restart"
        assert record.loss_count == confirmed + suspected
        assert record.is_finished == (confirmed >= policy.poison_after)
        if record.is_finished:
            assert record.code == "poison"
            return
