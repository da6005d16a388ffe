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
WELL = AttemptEnd(Outcome.SUCCESS, "", "")
LIMIT = 3


def after(known, *ends, now=100.0, every=10.0):
    """Each end is the end of another job, which was assigned just before."""
    for number, end in enumerate(ends):
        at = now + every * number
        assigned = transitions.assign(job(int(at)), "r1", 1.0, at - 1.0)
        known = quarantine.after(known, assigned, end, at, LIMIT)
    return known


def test_three_errors_in_a_row_quarantine_a_runner_with_the_reason():
    assert not after(None, ERROR, ERROR).is_quarantined
    known = after(None, ERROR, ERROR, ERROR)
    assert (known.is_quarantined, known.until - known.at) == (True, quarantine.FIRST_QUARANTINE)
    assert known.reason == "its last 3 jobs ended in error: No space left on device"


@pytest.mark.parametrize("between", [WELL, AttemptEnd(Outcome.FAILURE, "build-failed", "syntax error")])
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
    known = None
    for number in range(10):
        known = quarantine.after(
            known, transitions.assign(job(1), "r1", 1.0, 10.0 * number), ERROR, 10.0 * number + 1, LIMIT
        )
    assert not known.is_quarantined


def test_unreachable_source_counts_once_with_all_its_jobs():
    away = AttemptEnd(Outcome.ERROR, quarantine.UNREACHABLE, "no answer")
    assert not after(None, *[away] * 9).is_quarantined
    assert after(None, away, ERROR, away, ERROR).is_quarantined


def test_errors_of_all_slots_at_once_are_one_incident():
    jobs = [transitions.assign(job(number), "r1", 1.0, 10.0) for number in range(8)]
    known = None
    for assigned in jobs:
        known = quarantine.after(known, assigned, AttemptEnd(Outcome.ERROR, RUNNER_RESTARTED, "died"), 20.0, LIMIT)
    assert len(known.errors) == 1


def test_pause_doubles_with_each_failed_probe_job_and_ends_with_a_success():
    known, pauses = after(None, ERROR, ERROR, ERROR), []
    for _ in range(7):
        pauses.append(known.pause)
        known = after(known, ERROR, now=known.until + 1)
    assert pauses == [30, 60, 120, 240, 480, 900, 900]
    assert after(known, AttemptEnd(Outcome.FAILURE, "build-failed", "syntax error"), now=known.until + 1).is_quarantined
    assert after(known, WELL, now=known.until + 1) is None


def test_quarantined_runner_gets_one_probe_job_after_the_pause():
    known = after(None, ERROR, ERROR, ERROR)
    pool = [runner("r1", slots=4), runner("r2", slots=4)]
    limits = [
        quarantine.slot_limits(pool, {"r1": known}, at)
        for at in (known.at, known.until - 1, known.until, known.until + 9999)
    ]
    assert limits == [{"r1": 0}, {"r1": 0}, {"r1": 1}, {"r1": 1}]


def test_sole_candidate_is_quarantined_for_a_minute_at_most():
    known = {name: after(None, *[ERROR] * 8).model_copy(update={"runner_id": name}) for name in ("r1", "r2", "r3")}
    pool = [runner("r1"), runner("r2", group="big"), runner("r3", arch="aarch64"), runner("r4", arch="aarch64")]
    at = known["r1"].at + quarantine.SOLE_CANDIDATE_QUARANTINE
    assert known["r1"].until > at
    assert quarantine.slot_limits(pool, known, at) == {"r1": 1, "r2": 1, "r3": 0}
    assert quarantine.slot_limits([*pool, runner("r5", group="big")], known, at) == {"r1": 0, "r2": 0, "r3": 0}


def test_reason_is_given_when_all_candidates_are_quarantined():
    known = {"r1": after(None, ERROR, ERROR, ERROR)}
    assert quarantine.why_quarantined([runner("r1"), runner("r2")], known) == ""
    reason = quarantine.why_quarantined([runner("r1")], known)
    assert "every runner that could take it is quarantined (r1)" in reason
    assert "No space left on device" in reason


def test_pause_stored_while_the_clock_was_ahead_is_ignored():
    known = after(None, ERROR, ERROR, ERROR, now=1e6)
    assert quarantine.slot_limits([runner("r1"), runner("r2")], {"r1": known}, 500.0) == {"r1": 1}


def test_runner_gets_a_probe_job_at_once_after_a_planned_stop():
    known = after(None, ERROR, ERROR, ERROR)
    back = quarantine.after_planned_stop(known, known.at + 1)
    assert quarantine.slot_limits([runner("r1"), runner("r2")], {"r1": back}, known.at + 1) == {"r1": 1}


ENDS = st.sampled_from(
    [
        ERROR,
        WELL,
        AttemptEnd(Outcome.FAILURE, "x", "x"),
        AttemptEnd(Outcome.CANCELED, "", ""),
        AttemptEnd(Outcome.ERROR, RUNNER_STOPPED, ""),
    ]
)
NAMES = ("r1", "r2", "r3")


@given(st.lists(st.tuples(st.sampled_from(NAMES), ENDS, st.floats(0, 1000), st.integers(1, 9))))
def test_each_pool_has_a_usable_runner_within_a_minute(history):
    """Quarantine never starves a pool: one runner can take a job, now or within SOLE_CANDIDATE_QUARANTINE."""
    known, now = {}, 0.0
    pool = [runner(name) for name in NAMES]
    for name, end, passes, number in history:
        now += passes
        ended = quarantine.after(known.get(name), transitions.assign(job(number), name, 1.0, now), end, now, LIMIT)
        known = {runner_id: health for runner_id, health in {**known, name: ended}.items() if health is not None}
        soon = quarantine.slot_limits(pool, known, now + quarantine.SOLE_CANDIDATE_QUARANTINE)
        assert any(soon.get(member.runner_id, 1) for member in pool)
        assert all(not health.is_quarantined or health.pause <= quarantine.MAX_QUARANTINE for health in known.values())
