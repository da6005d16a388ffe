"""Tests of the attempt journal of a runner, also after a rollback and after a restart."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.flow.runner import attempt_journal
from cloud_builder.flow.runner.attempt_journal import ASSIGNMENTS, RESULTS, AttemptJournal, unfinished_assignments
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


def unfinished(state):
    return {key: body["attempt"] for key, body in state.find(ASSIGNMENTS)}


def finished(state):
    return {key: body["attempt"] for key, body in state.find(RESULTS)}


@pytest.mark.parametrize(
    ("earlier", "attempt", "is_new"),
    [([], 1, True), ([1], 1, False), ([2], 1, False), ([1], 2, True), ([1, 2], 2, False)],
)
@pytest.mark.parametrize("meanwhile", ["", "finished", "restarted", "finished, restarted"])
def test_attempt_is_recorded_once_and_not_after_a_later_one(state, earlier, attempt, is_new, meanwhile):
    journal = AttemptJournal()
    with work(state) as transaction:
        for number in earlier:
            assert journal.record_assignment(assignment(attempt=number), transaction)
            if "finished" in meanwhile:
                journal.record_result(lost_report(assignment(attempt=number), 1.0), transaction)
    if "restarted" in meanwhile:
        journal = AttemptJournal()
        journal.restore(state)
    with work(state) as transaction:
        assert journal.record_assignment(assignment(attempt=attempt), transaction) is is_new


def test_result_of_an_earlier_attempt_leaves_the_later_one_unfinished(state):
    journal = AttemptJournal()
    with work(state) as transaction:
        journal.record_assignment(assignment(attempt=1), transaction)
        journal.record_assignment(assignment(attempt=2), transaction)
        journal.record_result(lost_report(assignment(attempt=1), 1.0), transaction)
    assert (unfinished(state), finished(state)) == ({"q.1": 2}, {"q.1": 1})
    with work(state) as transaction:
        journal.record_result(lost_report(assignment(attempt=2), 1.0), transaction)
    assert (unfinished(state), finished(state)) == ({}, {"q.1": 2})


def test_rolled_back_records_can_be_made_again(state):
    journal = AttemptJournal()
    with work(state) as transaction:
        journal.record_assignment(assignment(1), transaction)
    with pytest.raises(OSError, match="disk full"), work(state) as transaction:
        journal.record_assignment(assignment(2), transaction)
        journal.record_result(lost_report(assignment(1), 1.0), transaction)
        raise OSError("disk full")
    journal.restore(state)
    assert unfinished(state) == {"q.1": 1}
    with work(state) as transaction:
        assert journal.record_assignment(assignment(2), transaction)
        journal.record_result(lost_report(assignment(1), 1.0), transaction)
    assert (unfinished(state), finished(state)) == ({"q.2": 1}, {"q.1": 1})


def test_restarted_runner_finds_the_unfinished_assignments(state):
    with work(state) as transaction:
        AttemptJournal().record_assignment(assignment(), transaction)
    assert unfinished_assignments(state) == [assignment()]


def test_old_results_are_pruned_in_several_transactions(state, monkeypatch):
    monkeypatch.setattr(attempt_journal, "MAX_RESULTS", 2)
    journal = AttemptJournal()
    for number in range(5):
        with work(state, now=1000.0 + number) as transaction:
            journal.record_result(lost_report(assignment(number), 1.0), transaction)
    left = []
    for _ in range(4):
        with work(state, now=1003.5 + 7 * DAY) as transaction:
            journal.prune(transaction)
        left.append(len(finished(state)))
    assert left == [3, 1, 1, 1]


@pytest.mark.parametrize(("later", "left"), [(59.0, {"q.1": 1}), (60.0, {})])
def test_prune_runs_once_a_minute(state, later, left):
    journal = AttemptJournal()
    with work(state, now=1000.0) as transaction:
        journal.record_result(lost_report(assignment(), 1.0), transaction)
    with work(state, now=1000.0 + 7 * DAY) as transaction:
        journal.prune(transaction)
    with work(state, now=1000.0 + 7 * DAY + later) as transaction:
        journal.prune(transaction)
    assert finished(state) == left


def test_lost_attempts_are_reported_after_a_rollback_too(state):
    with work(state) as transaction:
        AttemptJournal().record_assignment(assignment(), transaction)
    harness = RunnerHarness(state=state)
    harness.roll_back()
    harness.deliver()
    assert [report.code for report in harness.of(e.AttemptFinished)] == [RUNNER_RESTARTED]
    harness.roll_back()
    harness.deliver()
    assert len(harness.of(e.AttemptFinished)) == 1
