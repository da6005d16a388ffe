"""Why a job waits: for each kind of cause, events that have it, and the answer that must name it."""

from __future__ import annotations

from typing import Any

import pytest

from cloud_builder.model import events as e
from cloud_builder.model.capacity import Capacity
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.priority import Priority
from cloud_builder.planning.schedule.queue import QueuePolicy
from support.info_history import GIB, KEY, InfoHistory, inputs, lines, queued


def test_chain_of_dependencies_is_followed_to_its_root() -> None:
    history = InfoHistory().accept().runner("r1", ("r.1", 1))
    history.job(e.JobRunning, "r.1", "base", attempt=1, runner_id="r1", at=950.0)
    history.job(e.JobBlocked, "r.2", "lib", waiting_for=("r.1",)).job(
        e.JobBlocked, "r.3", "app", waiting_for=("r.1", "r.2")
    )
    cause = history.one("r.3")
    assert (cause["kind"], cause["root"]["kind"]) == ("waits-for-dependency", "building")
    assert "packages/lib" in cause["answer"] and "packages/base" in cause["answer"]
    assert [line.split(" (")[0] for line in lines(cause, "chain")] == ["packages/lib", "packages/base"]
    assert cause["root"]["job_id"] == "r.1"


def test_dependency_that_ends_last_is_named_first() -> None:
    history = InfoHistory().accept().built("o.1", "slow", inputs()).runner("r1", ("r.1", 1), ("r.2", 1), slots=2)
    history.job(e.JobQueued, "r.1", "quick", input_key=KEY, expected_seconds=100.0)
    history.job(e.JobRunning, "r.1", "quick", attempt=1, runner_id="r1", at=905.0)
    history.job(e.JobRunning, "r.2", "slow", attempt=1, runner_id="r1", at=995.0)
    history.job(e.JobBlocked, "r.3", "app", waiting_for=("r.1", "r.2"))
    assert history.one("r.3")["root"]["unit"] == "packages/slow"
    assert lines(history.one("r.3"), "also for") == ["packages/quick"]


def test_jobs_that_wait_for_each_other_still_get_an_answer() -> None:
    history = InfoHistory().job(e.JobBlocked, "r.1", "a", waiting_for=("r.2",))
    history.job(e.JobBlocked, "r.2", "b", waiting_for=("r.1",))
    assert history.one("r.1")["kind"] == "waits-for-dependency"


def test_duplicate_names_the_job_that_builds_the_same_inputs() -> None:
    history = InfoHistory().runner("r1", ("q.1", 1)).job(e.JobRunning, "q.1", attempt=1, runner_id="r1", at=950.0)
    history.job(e.JobBlocked, "r.1", waiting_for=("q.1",), reason="the same inputs are being built")
    cause = history.one("r.1")
    assert (cause["kind"], cause["root"]["job_id"]) == ("waits-for-duplicate", "q.1")
    assert "request q" in cause["answer"]


def test_busy_slot_is_named_with_its_job_and_expected_end() -> None:
    history = InfoHistory().accept("q").accept("r").runner("r1", ("q.1", 1))
    history.job(e.JobQueued, "q.1", "long", input_key=KEY, expected_seconds=100.0)
    history.job(e.JobRunning, "q.1", "long", attempt=1, runner_id="r1", at=950.0)
    cause = queued(history).one("r.1")
    assert (cause["kind"], cause["expected_start"]) == ("waits-for-slot", 1050.0)
    assert "in about 50 s" in cause["answer"]
    assert "packages/long (q.1): running on r1 for 50 s" in lines(cause, "slots")[0]


def test_expected_start_is_unknown_without_an_earlier_build() -> None:
    history = (
        InfoHistory().runner("r1", ("q.1", 1)).job(e.JobRunning, "q.1", "new", attempt=1, runner_id="r1", at=950.0)
    )
    cause = queued(history).one("r.1")
    assert (cause["kind"], cause["expected_start"]) == ("waits-for-slot", 0.0)
    assert "not known" in lines(cause, "starts")[0]


@pytest.mark.parametrize(
    ("other", "mine", "rule"),
    [
        ({"priority": Priority.INTERACTIVE}, {}, "priority interactive"),
        ({"accepted_at": 800.0}, {"accepted_at": 900.0}, "older request"),
        ({"critical_path": 90.0}, {"critical_path": 10.0, "job": "q.2"}, "longer critical path (1 min 30 s)"),
        ({"source": "another"}, {"is_active": True}, "fair share: source another"),
        ({"requester": "ann"}, {"is_active": True, "requester": "bob"}, "fair share: ann"),
        (
            {"priority": Priority.BULK, "at": 100.0, "ageing": 80.0},
            {"at": 990.0},
            "priority bulk, after waiting 15 min",
        ),
    ],
)
def test_job_ahead_is_named_with_the_rule(other: dict[str, Any], mine: dict[str, Any], rule: str) -> None:
    history = InfoHistory(QueuePolicy(ageing=other.get("ageing", 400.0)))
    job = mine.get("job", "r.1")
    names = ("source", "requester", "accepted_at")
    of_job = ("source", "priority", "critical_path", "at")
    for request, words in (("q", other), (job[0], mine)):
        history.accept(request, **{name: words[name] for name in names if name in words})
    if mine.get("is_active"):
        history.runner("r2", ("r.9", 1), arch="aarch64").job(e.JobRunning, "r.9", "mine", attempt=1, runner_id="r2")
        history.runner("r1", ("r.9", 1), slots=2)
    else:
        history.runner("r1", slots=1)
    queued(history, "q.1", "first", **{name: other[name] for name in of_job if name in other})
    cause = queued(history, job, "lib", **{name: mine[name] for name in of_job if name in mine}).one(job)
    assert cause["kind"] == "waits-behind-others"
    assert "packages/first" in cause["answer"] and rule in cause["answer"]


def test_exhausted_quota_is_named() -> None:
    history = InfoHistory(QueuePolicy(quotas={"demo": 1})).accept().runner("r1", ("r.9", 1), slots=4)
    history.job(e.JobRunning, "r.9", "other", attempt=1, runner_id="r1")
    cause = queued(history).one("r.1")
    assert cause["kind"] == "waits-for-quota"
    assert "the quota of demo is full: its 1 slot" in cause["answer"]


def test_missing_capacity_is_named_for_each_runner() -> None:
    history = (
        InfoHistory().runner("r1", capacity=Capacity(memory=8 * GIB)).runner("r2", capacity=Capacity(memory=16 * GIB))
    )
    cause = queued(history, constraints=Capacity(memory=64 * GIB, kvm=True)).one("r.1")
    assert cause["kind"] == "waits-for-capacity"
    assert "memory 64 GiB, kvm" in cause["answer"]
    assert lines(cause, "runners")[0] == "r1 has memory 8 GiB, has no kvm"


@pytest.mark.parametrize(
    ("events", "line"),
    [
        ([], "there was no runner yet"),
        ([{"arch": "aarch64"}], "there are runners for: aarch64"),
        ([{"at": 900.0}], "r1 is silent, last seen 1 min 40 s ago"),
    ],
)
def test_job_without_a_live_runner_lists_the_others(events: list[dict[str, Any]], line: str) -> None:
    history = InfoHistory()
    for more in events:
        history.runner("r1", **more)
    cause = queued(history).one("r.1")
    assert cause["kind"] == "waits-for-runner"
    assert line in "\n".join(lines(cause, "runners"))
    assert "cb-runner" in cause["next"]


def test_draining_runner_is_named_with_its_reason() -> None:
    history = InfoHistory().runner().apply(e.RunnerDraining(runner_id="r1", reason="maintenance", at=999.0))
    assert "r1 is draining (maintenance)" in queued(history).one("r.1")["answer"]


def test_quarantined_runner_is_named_with_its_reason() -> None:
    quarantined = e.RunnerQuarantined(
        runner_id="r1", reason="its last 3 jobs ended in error: disk full", until=1030.0, at=990.0
    )
    history = queued(InfoHistory().runner().apply(quarantined))
    cause = history.one("r.1")
    assert cause["kind"] == "waits-for-quarantined-runner"
    assert "r1 for another 30 s: its last 3 jobs ended in error: disk full" in cause["answer"]
    history.now = 1031.0
    assert history.runner(slots=4).one("r.1")["kind"] == "next-to-start"
    trusted = e.RunnerQuarantined(runner_id="r1", at=1000.0)
    history.now = 1000.0
    assert history.apply(trusted, quarantined).one("r.1")["kind"] == "next-to-start"


def test_pause_after_an_error_is_named_with_the_error() -> None:
    history = InfoHistory().runner()
    history.apply(
        e.AttemptFinished(
            job_id="r.1", attempt=1, runner_id="r9", outcome=Outcome.ERROR, message="mirror away\nmore", started_at=1,
            finished_at=2,
        )
    )  # fmt: skip
    cause = queued(history, attempt=1, not_before=1008.0, reason="mirror away").one("r.1")
    assert cause["kind"] == "waits-after-error"
    assert cause["answer"] == "waits 8 s until its next attempt, after an error: mirror away"
    assert lines(cause, "attempts") == ["1: r9, error: mirror away"]
    history.now = 1010.0
    assert history.runner().one("r.1")["kind"] == "next-to-start"


def test_retry_waits_for_a_runner_that_has_not_tried_the_job() -> None:
    history = InfoHistory().runner("r1").runner("r2", ("q.1", 1))
    history.job(e.JobRunning, "q.1", "other", attempt=1, runner_id="r2", at=950.0)
    history.apply(e.AttemptStarted(job_id="r.1", attempt=1, runner_id="r1", started_at=900.0))
    cause = queued(history, attempt=1, not_before=990.0).one("r.1")
    assert (cause["kind"], "on a runner that has not had it" in lines(cause, "retry")[0]) == ("waits-for-slot", True)
    assert "r1" not in str(lines(cause, "slots"))
    history.now = 1051.0
    assert history.runner("r1").runner("r2", ("q.1", 1)).one("r.1")["kind"] == "next-to-start"


def test_queued_job_listed_by_a_runner_is_starting() -> None:
    cause = queued(InfoHistory().runner("r1", ("r.1", 2))).one("r.1")
    assert cause["kind"] == "starting"
    assert "r1 has it (attempt 2)" in cause["answer"]


def test_slot_that_stays_free_points_to_the_scheduler() -> None:
    cause = queued(InfoHistory().runner(), at=900.0).one("r.1")
    assert (cause["kind"], "cb-scheduler" in cause["next"]) == ("next-to-start", True)
    assert queued(InfoHistory().runner(), at=999.0).one("r.1")["next"] == ""
