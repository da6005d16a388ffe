"""How far a runner is trusted, after whatever becomes of its jobs."""

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
    """Each end is that of a job of its own, handed out just before."""
    for number, end in enumerate(ends):
        at = now + every * number
        one = transitions.assign(job(int(at)), "r1", 1.0, at - 1.0)
        known = quarantine.after(known, one, end, at, LIMIT)
    return known


def test_three_errors_in_a_row_set_a_runner_aside_with_the_reason():
    assert not after(None, ERROR, ERROR).is_quarantined
    known = after(None, ERROR, ERROR, ERROR)
    assert (known.is_quarantined, known.until - known.at) == (True, quarantine.FIRST_QUARANTINE)
    assert known.reason == "its last 3 jobs ended in error: No space left on device"


@pytest.mark.parametrize("between", [WELL, AttemptEnd(Outcome.FAILURE, "build-failed", "syntax error")])
def test_a_verdict_of_a_recipe_breaks_the_row(between):
    assert not after(None, ERROR, ERROR, between, ERROR, ERROR).is_quarantined


@pytest.mark.parametrize(
    "end",
    [
        AttemptEnd(Outcome.ERROR, RUNNER_STOPPED, "told to stop"),
        AttemptEnd(Outcome.ERROR, LOST_BROKER, "no broker"),
        AttemptEnd(Outcome.CANCELED, "canceled", "canceled"),
    ],
)
def test_what_is_not_its_fault_neither_counts_nor_breaks_the_row(end):
    assert after(None, end, end, end) is None
    assert after(None, ERROR, end, ERROR, end, ERROR).is_quarantined


def test_the_same_job_again_and_again_says_nothing_of_the_runner():
    known = None
    for number in range(10):
        known = quarantine.after(
            known, transitions.assign(job(1), "r1", 1.0, 10.0 * number), ERROR, 10.0 * number + 1, LIMIT
        )
    assert not known.is_quarantined


def test_a_source_that_cannot_be_reached_counts_once_with_all_its_jobs():
    away = AttemptEnd(Outcome.ERROR, quarantine.UNREACHABLE, "no answer")
    assert not after(None, *[away] * 9).is_quarantined
    assert after(None, away, ERROR, away, ERROR).is_quarantined


def test_what_ends_all_slots_at_once_is_one_incident():
    jobs = [transitions.assign(job(number), "r1", 1.0, 10.0) for number in range(8)]
    known = None
    for one in jobs:
        known = quarantine.after(known, one, AttemptEnd(Outcome.ERROR, RUNNER_RESTARTED, "died"), 20.0, LIMIT)
    assert len(known.errors) == 1


def test_the_pause_doubles_with_each_canary_that_fails_and_ends_with_one_that_succeeds():
    known, pauses = after(None, ERROR, ERROR, ERROR), []
    for _ in range(7):
        pauses.append(known.pause)
        known = after(known, ERROR, now=known.until + 1)
    assert pauses == [30, 60, 120, 240, 480, 900, 900]
    assert after(known, AttemptEnd(Outcome.FAILURE, "build-failed", "syntax error"), now=known.until + 1).is_quarantined
    assert after(known, WELL, now=known.until + 1) is None


def test_nothing_before_the_pause_is_over_and_one_job_after_it():
    known = after(None, ERROR, ERROR, ERROR)
    pool = [runner("r1", slots=4), runner("r2", slots=4)]
    caps = [
        quarantine.slot_limits(pool, {"r1": known}, at)
        for at in (known.at, known.until - 1, known.until, known.until + 9999)
    ]
    assert caps == [{"r1": 0}, {"r1": 0}, {"r1": 1}, {"r1": 1}]


def test_the_last_way_for_a_job_waits_a_minute_at_most():
    known = {name: after(None, *[ERROR] * 8).model_copy(update={"runner_id": name}) for name in ("r1", "r2", "r3")}
    pool = [runner("r1"), runner("r2", group="big"), runner("r3", arch="aarch64"), runner("r4", arch="aarch64")]
    at = known["r1"].at + quarantine.SOLE_CANDIDATE_QUARANTINE
    assert known["r1"].until > at
    assert quarantine.slot_limits(pool, known, at) == {"r1": 1, "r2": 1, "r3": 0}
    assert quarantine.slot_limits([*pool, runner("r5", group="big")], known, at) == {"r1": 0, "r2": 0, "r3": 0}


def test_where_all_are_set_aside_a_job_is_told_the_reason():
    known = {"r1": after(None, ERROR, ERROR, ERROR)}
    assert quarantine.why_quarantined([runner("r1"), runner("r2")], known) == ""
    told = quarantine.why_quarantined([runner("r1")], known)
    assert "every runner that could take it is set aside (r1)" in told
    assert "No space left on device" in told


def test_a_pause_written_down_while_the_clock_was_ahead_is_not_waited_for():
    known = after(None, ERROR, ERROR, ERROR, now=1e6)
    assert quarantine.slot_limits([runner("r1"), runner("r2")], {"r1": known}, 500.0) == {"r1": 1}


def test_a_runner_that_was_told_to_stop_may_try_at_once():
    known = after(None, ERROR, ERROR, ERROR)
    back = quarantine.returned(known, known.at + 1)
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
def test_whatever_happens_each_pool_has_a_way_within_a_minute(history):
    """Trust never starves a pool: of the runners that could take a job, one may, now or within LAST_WAY_PAUSE."""
    known, now = {}, 0.0
    pool = [runner(name) for name in NAMES]
    for name, end, passes, number in history:
        now += passes
        ended = quarantine.after(known.get(name), transitions.assign(job(number), name, 1.0, now), end, now, LIMIT)
        known = {other: one for other, one in {**known, name: ended}.items() if one is not None}
        soon = quarantine.slot_limits(pool, known, now + quarantine.SOLE_CANDIDATE_QUARANTINE)
        assert any(soon.get(one.runner_id, 1) for one in pool)
        assert all(not one.is_quarantined or one.pause <= quarantine.MAX_QUARANTINE for one in known.values())
