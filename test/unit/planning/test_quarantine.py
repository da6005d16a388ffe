"""The health of a runner after the attempts that ended there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.model.outcome import Outcome
from cloud_builder.planning.attempt import quarantine, transitions
from cloud_builder.planning.attempt.quarantine import AttemptEnd
from cloud_builder.planning.attempt.transitions import LOST_BROKER, RUNNER_RESTARTED, RUNNER_STOPPED
from support.factories import job, runner

ERROR = AttemptEnd(Outcome.ERROR, "machine", "No space left on device\nmore")
SUCCESS = AttemptEnd(Outcome.SUCCESS, "", "")
LIMIT = 3


def after(health, *ends, now=100.0, interval=10.0):
    """Returns the health after these ends of attempts. Each end belongs to another job, assigned one second before."""
    for number, end in enumerate(ends):
        at = now + interval * number
        assigned = transitions.assign(job(int(at)), "r1", 1.0, at - 1.0)
        health = quarantine.after(health, assigned, end, at, LIMIT)
    return health


def test_three_errors_in_a_row_quarantine_a_runner_with_the_reason():
    assert not after(None, ERROR, ERROR).is_quarantined
    health = after(None, ERROR, ERROR, ERROR)
    assert (health.is_quarantined, health.until - health.at) == (True, quarantine.FIRST_QUARANTINE)
    assert health.reason == "its last 3 jobs ended in error: No space left on device"


@pytest.mark.parametrize("between", [SUCCESS, AttemptEnd(Outcome.FAILURE, "build-failed", "syntax error")])
def test_success_or_failure_of_a_recipe_resets_the_errors(between):
    assert not after(None, ERROR, ERROR, between, ERROR, ERROR).is_quarantined


@pytest.mark.parametrize(
    "end",
    [
        AttemptEnd(Outcome.ERROR, RUNNER_STOPPED, "stopped"),
        AttemptEnd(Outcome.ERROR, LOST_BROKER, "no broker"),
        AttemptEnd(Outcome.CANCELED, "canceled", "canceled"),
    ],
)
def test_errors_not_caused_by_the_runner_are_ignored(end):
    assert after(None, end, end, end) is None
    assert after(None, ERROR, end, ERROR, end, ERROR).is_quarantined


def test_repeated_errors_of_one_job_do_not_quarantine_the_runner():
    health = None
    for number in range(10):
        health = quarantine.after(
            health, transitions.assign(job(1), "r1", 1.0, 10.0 * number), ERROR, 10.0 * number + 1, LIMIT
        )
    assert not health.is_quarantined


def test_unreachable_source_counts_once_with_all_its_jobs():
    unreachable = AttemptEnd(Outcome.ERROR, quarantine.UNREACHABLE, "no answer")
    assert not after(None, *[unreachable] * 9).is_quarantined
    assert after(None, unreachable, ERROR, unreachable, ERROR).is_quarantined


def test_errors_of_all_slots_at_once_are_one_incident():
    jobs = [transitions.assign(job(number), "r1", 1.0, 10.0) for number in range(8)]
    health = None
    for assigned in jobs:
        health = quarantine.after(health, assigned, AttemptEnd(Outcome.ERROR, RUNNER_RESTARTED, "died"), 20.0, LIMIT)
    assert len(health.errors) == 1


def test_pause_doubles_with_each_failed_probe_job_and_ends_with_a_success():
    health, pauses = after(None, ERROR, ERROR, ERROR), []
    for _ in range(7):
        pauses.append(health.pause)
        health = after(health, ERROR, now=health.until + 1)
    assert pauses == [30, 60, 120, 240, 480, 900, 900]
    assert after(
        health, AttemptEnd(Outcome.FAILURE, "build-failed", "syntax error"), now=health.until + 1
    ).is_quarantined
    assert after(health, SUCCESS, now=health.until + 1) is None


def test_quarantined_runner_gets_one_probe_job_after_the_pause():
    health = after(None, ERROR, ERROR, ERROR)
    pool = [runner("r1", slots=4), runner("r2", slots=4)]
    limits = [
        quarantine.slot_limits(pool, {"r1": health}, at)
        for at in (health.at, health.until - 1, health.until, health.until + 9999)
    ]
    assert limits == [{"r1": 0}, {"r1": 0}, {"r1": 1}, {"r1": 1}]


def test_sole_candidate_is_quarantined_for_a_minute_at_most():
    health = {name: after(None, *[ERROR] * 8).model_copy(update={"runner_id": name}) for name in ("r1", "r2", "r3")}
    pool = [runner("r1"), runner("r2", group="big"), runner("r3", arch="aarch64"), runner("r4", arch="aarch64")]
    at = health["r1"].at + quarantine.SOLE_CANDIDATE_QUARANTINE
    assert health["r1"].until > at
    assert quarantine.slot_limits(pool, health, at) == {"r1": 1, "r2": 1, "r3": 0}
    assert quarantine.slot_limits([*pool, runner("r5", group="big")], health, at) == {"r1": 0, "r2": 0, "r3": 0}


def test_reason_is_given_when_all_candidates_are_quarantined():
    health = {"r1": after(None, ERROR, ERROR, ERROR)}
    assert quarantine.why_quarantined([runner("r1"), runner("r2")], health) == ""
    reason = quarantine.why_quarantined([runner("r1")], health)
    assert "every runner that could take it is quarantined (r1)" in reason
    assert "No space left on device" in reason


def test_pause_stored_while_the_clock_was_ahead_is_ignored():
    health = after(None, ERROR, ERROR, ERROR, now=1e6)
    assert quarantine.slot_limits([runner("r1"), runner("r2")], {"r1": health}, 500.0) == {"r1": 1}


def test_runner_gets_a_probe_job_at_once_after_a_planned_stop():
    health = after(None, ERROR, ERROR, ERROR)
    back = quarantine.after_planned_stop(health, health.at + 1)
    assert quarantine.slot_limits([runner("r1"), runner("r2")], {"r1": back}, health.at + 1) == {"r1": 1}


ENDS = st.sampled_from(
    [
        ERROR,
        SUCCESS,
        AttemptEnd(Outcome.FAILURE, "x", "x"),
        AttemptEnd(Outcome.CANCELED, "", ""),
        AttemptEnd(Outcome.ERROR, RUNNER_STOPPED, ""),
    ]
)
NAMES = ("r1", "r2", "r3")


@given(st.lists(st.tuples(st.sampled_from(NAMES), ENDS, st.floats(0, 1000), st.integers(1, 9))))
def test_each_pool_has_an_eligible_runner_within_a_minute(history):
    """Quarantine never starves a pool: one runner can take a job, now or within SOLE_CANDIDATE_QUARANTINE."""
    records, now = {}, 0.0
    pool = [runner(name) for name in NAMES]
    for name, end, passes, number in history:
        now += passes
        ended = quarantine.after(records.get(name), transitions.assign(job(number), name, 1.0, now), end, now, LIMIT)
        records = {runner_id: record for runner_id, record in {**records, name: ended}.items() if record is not None}
        soon = quarantine.slot_limits(pool, records, now + quarantine.SOLE_CANDIDATE_QUARANTINE)
        assert any(soon.get(member.runner_id, 1) for member in pool)
        assert all(
            not record.is_quarantined or record.pause <= quarantine.MAX_QUARANTINE for record in records.values()
        )
