"""Tests of the order in which jobs get slots, and of the reports about unschedulable jobs."""

from __future__ import annotations

import pytest

from cloud_builder.model import events as e
from cloud_builder.model.capacity import Capacity
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.priority import Priority
from support.factories import unit
from support.scheduler_harness import SchedulerHarness

GIB = 1024**3


def finish_one(harness: SchedulerHarness, runner: str) -> list[str]:
    """Finishes the job of a runner, and returns the units that are assigned then."""
    emitted = harness.deliver(harness.report(harness.assignments[runner].pop()))
    return [payload.unit for payload in emitted if isinstance(payload, e.JobAssigned)]


@pytest.fixture(scope="module")
def flooded() -> SchedulerHarness:
    """Returns a harness with 3,000 jobs of one requester on four busy runners."""
    harness = SchedulerHarness(runners=("r1", "r2", "r3", "r4"))
    names = [f"f{number}" for number in range(3000)]
    harness.deliver(*harness.heartbeats(), harness.snapshot(*(unit(name) for name in names), source="flood"))
    harness.deliver(harness.request(*names, id="flood", source="flood", requester="bulky", priority=Priority.BULK))
    assert all(harness.assignments.values())
    return harness


def test_interactive_job_of_another_source_gets_the_next_free_slot(flooded) -> None:
    flooded.deliver(flooded.snapshot(unit("urgent", tree="1"), source="small"))
    late = flooded.request("urgent", id="late", source="small", requester="ann", priority=Priority.INTERACTIVE)
    assert not [emitted for emitted in flooded.deliver(late) if isinstance(emitted, e.JobAssigned)]
    assert finish_one(flooded, "r3") == ["p/urgent"]
    assert finish_one(flooded, "r3")[0].startswith("p/f")


def test_job_of_another_source_in_the_same_class_gets_the_next_slot(flooded) -> None:
    flooded.deliver(flooded.snapshot(unit("fair", tree="2"), unit("fair2", tree="3"), source="other"))
    flooded.deliver(flooded.request("fair", "fair2", id="fair", source="other", priority=Priority.BULK))
    assert finish_one(flooded, "r1") == ["p/fair"]


def test_new_scheduler_process_keeps_the_queue_order(flooded) -> None:
    flooded.boot()
    flooded.deliver(*flooded.heartbeats(), flooded.snapshot(unit("again", tree="4"), source="third"))
    flooded.deliver(flooded.request("again", id="again", source="third", priority=Priority.INTERACTIVE))
    assert finish_one(flooded, "r2") == ["p/again"]


def test_critical_path_goes_first_in_a_request() -> None:
    harness = SchedulerHarness()
    harness.deliver(
        *harness.heartbeats(), harness.snapshot(unit("a"), unit("b"), unit("c", "b"), unit("d", "c"), unit("e", "d"))
    )
    harness.deliver(harness.request("a", "e"))
    harness.finish_all()
    assert harness.events_of(e.JobAssigned)[0].unit == "p/b"


@pytest.fixture
def shared_slot() -> SchedulerHarness:
    """Returns a harness with one slot, which `old` has used for long; jobs of both sources wait."""
    harness = SchedulerHarness()
    harness.deliver(*harness.heartbeats(), harness.snapshot(unit("a"), unit("b"), source="old"))
    harness.deliver(harness.snapshot(unit("c", tree="1"), source="young"))
    harness.deliver(harness.request("a", "b", id="o", source="old"))
    harness.deliver(harness.request("c", id="y", source="young"))
    harness.now += 500
    return harness


@pytest.mark.parametrize("end", ["stopped", "killed a while later"])
def test_fair_share_survives_a_restart(shared_slot, end) -> None:
    shared_slot.broker_away = True  # Nothing is dispatched before the restart.
    shared_slot.broker_seen = 0.0
    shared_slot.deliver(shared_slot.report(shared_slot.assignments["r1"].pop()))
    shared_slot.broker_away = False
    if end == "stopped":
        shared_slot.stop()
    else:
        shared_slot.now += 10
        shared_slot.deliver()
    shared_slot.boot()
    shared_slot.deliver(*shared_slot.heartbeats())
    assert [assignment.unit for assignment in shared_slot.assignments["r1"]] == ["p/c"]


def test_usage_is_stored_at_intervals_and_only_when_it_has_changed(shared_slot, monkeypatch) -> None:
    written = []
    put = shared_slot.state.put

    def recording_put(collection, key, body, **index) -> None:
        written.extend([shared_slot.now] * (collection == "usage"))
        put(collection, key, body, **index)

    monkeypatch.setattr(shared_slot.state, "put", recording_put)
    start = shared_slot.now
    shared_slot.finish_all()
    assert shared_slot.state.get("usage", "shares")["sources"][0] == {"source": "old", "used": [0.0, 500.0, 500.0]}
    shared_slot.deliver(
        shared_slot.snapshot(unit("d", tree="2"), source="old"), shared_slot.request("d", id="again", source="old")
    )
    for seconds in (3, 4, 4, 100):
        shared_slot.now += seconds
        shared_slot.deliver(*shared_slot.heartbeats())
        shared_slot.finish_all()
    shared_slot.stop()
    assert written == [start, start + 11]


def test_quotas_of_the_settings_are_not_exceeded() -> None:
    harness = SchedulerHarness(runners=("r1", "r2"), quotas={"s": 1})
    harness.deliver(*harness.heartbeats(), harness.snapshot(unit("a"), unit("b")))
    harness.deliver(harness.request("a", "b"))
    assert sum(map(len, harness.assignments.values())) == 1
    harness.finish_all()
    assert len(harness.events_of(e.JobAssigned)) == 2


def large(harness: SchedulerHarness, memory: int) -> e.RunnerSeen:
    return harness.seen("r1").model_copy(update={"capacity": Capacity(memory=memory)})


def blocked(emitted: list[e.Payload]) -> list[str]:
    return [payload.reason for payload in emitted if isinstance(payload, e.JobBlocked) and not payload.waiting_for]


def test_unschedulable_job_is_reported_and_assigned_when_a_runner_comes() -> None:
    harness = SchedulerHarness()
    harness.deliver(*harness.heartbeats())
    harness.wait(20)
    needy = unit("needy").model_copy(update={"constraints": Capacity(memory=64 * GIB)})
    harness.deliver(harness.snapshot(needy), large(harness, 16 * GIB))
    emitted = harness.deliver(harness.request("needy"))
    assert [type(payload) for payload in emitted if getattr(payload, "unit", "") == "p/needy"] == [e.JobQueued]
    emitted = harness.deliver()
    assert blocked(emitted) == ["needs memory 64 GiB; the only runner, r1, has 16 GiB"]
    assert blocked(harness.deliver(large(harness, 16 * GIB))) == []
    harness.deliver(large(harness, 64 * GIB))
    assert [assignment.unit for assignment in harness.assignments["r1"]] == ["p/needy"]
    harness.finish_all(lambda assignment: Outcome.SUCCESS)
    assert harness.outcomes() == {"p/needy": "success"}


def test_unschedulable_jobs_are_not_reported_before_a_lease_has_passed() -> None:
    harness = SchedulerHarness(runners=())
    harness.deliver(harness.snapshot(unit("a")), harness.request("a"))
    assert blocked(harness.wait(10)) == []
    assert len(blocked(harness.wait(10))) == 1
