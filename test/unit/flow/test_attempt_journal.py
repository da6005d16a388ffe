"""What a runner writes down about its orders, and knows again after a rollback or in a new life."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.flow.runner import attempt_journal
from cloud_builder.flow.runner.attempt_journal import AttemptJournal, unfinished_assignments
from cloud_builder.flow.runner.attempt_reports import lost_report
from cloud_builder.model import events as e
from cloud_builder.planning.attempt.transitions import RUNNER_RESTARTED
from support.factories import assignment
from support.runner_harness import RunnerHarness
from support.work import RecordingWork

DAY = 86400.0


@pytest.fixture
def state():
    return MemoryState()


@contextmanager
def work(state, now=1000.0):
    with state.transaction():
        yield RecordingWork(state, now)


def held(state):
    return {key: body["attempt"] for key, body in state.find("held")}


def done(state):
    return {key: body["attempt"] for key, body in state.find("done")}


@pytest.mark.parametrize(
    ("known", "attempt", "is_taken"),
    [([], 1, True), ([1], 1, False), ([2], 1, False), ([1], 2, True), ([1, 2], 2, False)],
)
@pytest.mark.parametrize("meanwhile", ["", "done", "a new life", "done, and a new life"])
def test_an_attempt_is_taken_once_and_none_after_a_later_one(state, known, attempt, is_taken, meanwhile):
    ours = AttemptJournal()
    with work(state) as now:
        for number in known:
            assert ours.record_assignment(assignment(attempt=number), now)
            if "done" in meanwhile:
                ours.record_result(lost_report(assignment(attempt=number), 1.0), now)
    if "life" in meanwhile:
        ours = AttemptJournal()
        ours.restore(state)
    with work(state) as now:
        assert ours.record_assignment(assignment(attempt=attempt), now) is is_taken


def test_the_end_of_an_earlier_attempt_leaves_the_later_one_held(state):
    ours = AttemptJournal()
    with work(state) as now:
        ours.record_assignment(assignment(attempt=1), now)
        ours.record_assignment(assignment(attempt=2), now)
        ours.record_result(lost_report(assignment(attempt=1), 1.0), now)
    assert (held(state), done(state)) == ({"q.1": 2}, {"q.1": 1})
    with work(state) as now:
        ours.record_result(lost_report(assignment(attempt=2), 1.0), now)
    assert (held(state), done(state)) == ({}, {"q.1": 2})


def test_what_was_rolled_back_is_taken_and_finished_again(state):
    ours = AttemptJournal()
    with work(state) as now:
        ours.record_assignment(assignment(1), now)
    with pytest.raises(OSError, match="disk full"), work(state) as now:
        ours.record_assignment(assignment(2), now)
        ours.record_result(lost_report(assignment(1), 1.0), now)
        raise OSError("disk full")
    ours.restore(state)
    assert held(state) == {"q.1": 1}
    with work(state) as now:
        assert ours.record_assignment(assignment(2), now)
        ours.record_result(lost_report(assignment(1), 1.0), now)
    assert (held(state), done(state)) == ({"q.2": 1}, {"q.1": 1})


def test_a_new_life_finds_the_whole_orders_of_the_one_before(state):
    with work(state) as now:
        AttemptJournal().record_assignment(assignment(), now)
    assert unfinished_assignments(state) == [assignment()]


def test_all_that_was_done_long_ago_is_forgotten_a_part_at_a_time(state, monkeypatch):
    monkeypatch.setattr(attempt_journal, "MAX_RESULTS", 2)
    ours = AttemptJournal()
    for number in range(5):
        with work(state, now=1000.0 + number) as now:
            ours.record_result(lost_report(assignment(number), 1.0), now)
    left = []
    for _ in range(4):
        with work(state, now=1003.5 + 7 * DAY) as now:
            ours.prune(now)
        left.append(len(done(state)))
    assert left == [3, 1, 1, 1]


@pytest.mark.parametrize(("later", "left"), [(59.0, {"q.1": 1}), (60.0, {})])
def test_nothing_is_looked_for_again_within_a_minute(state, later, left):
    ours = AttemptJournal()
    with work(state, now=1000.0) as now:
        ours.record_result(lost_report(assignment(), 1.0), now)
    with work(state, now=1000.0 + 7 * DAY) as now:
        ours.prune(now)
    with work(state, now=1000.0 + 7 * DAY + later) as now:
        ours.prune(now)
    assert done(state) == left


def test_what_an_earlier_life_held_is_told_though_the_first_transaction_was_taken_back(state):
    with work(state) as now:
        AttemptJournal().record_assignment(assignment(), now)
    harness = RunnerHarness(state=state)
    harness.roll_back()
    harness.deliver()
    assert [report.code for report in harness.of(e.AttemptFinished)] == [RUNNER_RESTARTED]
    harness.roll_back()
    harness.deliver()
    assert len(harness.of(e.AttemptFinished)) == 1
