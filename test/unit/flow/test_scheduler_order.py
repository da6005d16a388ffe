"""Who gets the next slot in a running scheduler, and what a job hears that no runner can take."""

from __future__ import annotations

import pytest

from cloud_builder.model import events as e
from cloud_builder.model.capacity import Capacity
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.priority import Priority
from support.factories import unit
from support.scheduler_harness import SchedulerHarness

GIB = 1024**3


def end_one(harness: SchedulerHarness, runner: str) -> list[str]:
    """A runner ends what it has; the units of what is assigned then."""
    told = harness.deliver(harness.report(harness.holding[runner].pop()))
    return [payload.unit for payload in told if isinstance(payload, e.JobAssigned)]


@pytest.fixture(scope="module")
def flooded() -> SchedulerHarness:
    """3,000 jobs of one tenant on four busy runners."""
    harness = SchedulerHarness(runners=("r1", "r2", "r3", "r4"))
    names = [f"f{number}" for number in range(3000)]
    harness.deliver(*harness.heartbeats(), harness.snapshot(*(unit(name) for name in names), source="flood"))
    harness.deliver(harness.request(*names, id="flood", source="flood", requester="bulky", priority=Priority.BULK))
    assert all(harness.holding.values())
    return harness


def test_an_interactive_job_of_another_tenant_gets_the_next_free_slot(flooded) -> None:
    flooded.deliver(flooded.snapshot(unit("urgent", tree="1"), source="small"))
    late = flooded.request("urgent", id="late", source="small", requester="ann", priority=Priority.INTERACTIVE)
    assert not [told for told in flooded.deliver(late) if isinstance(told, e.JobAssigned)]
    assert end_one(flooded, "r3") == ["p/urgent"]
    assert end_one(flooded, "r3")[0].startswith("p/f")


def test_a_tenant_of_the_same_class_gets_the_next_free_slot_too(flooded) -> None:
    flooded.deliver(flooded.snapshot(unit("fair", tree="2"), unit("fair2", tree="3"), source="other"))
    flooded.deliver(flooded.request("fair", "fair2", id="fair", source="other", priority=Priority.BULK))
    assert end_one(flooded, "r1") == ["p/fair"]


def test_a_new_scheduler_process_goes_on_in_the_same_order(flooded) -> None:
    flooded.boot()
    flooded.deliver(*flooded.heartbeats(), flooded.snapshot(unit("again", tree="4"), source="third"))
    flooded.deliver(flooded.request("again", id="again", source="third", priority=Priority.INTERACTIVE))
    assert end_one(flooded, "r2") == ["p/again"]


def test_the_longest_way_goes_first_in_a_request() -> None:
    harness = SchedulerHarness()
    harness.deliver(
        *harness.heartbeats(), harness.snapshot(unit("a"), unit("b"), unit("c", "b"), unit("d", "c"), unit("e", "d"))
    )
    harness.deliver(harness.request("a", "e"))
    harness.work_off()
    assert harness.of(e.JobAssigned)[0].unit == "p/b"


@pytest.fixture
def turns() -> SchedulerHarness:
    """One slot; `old` had it for long, and both wait."""
    harness = SchedulerHarness()
    harness.deliver(*harness.heartbeats(), harness.snapshot(unit("a"), unit("b"), source="old"))
    harness.deliver(harness.snapshot(unit("c", tree="1"), source="young"))
    harness.deliver(harness.request("a", "b", id="o", source="old"))
    harness.deliver(harness.request("c", id="y", source="young"))
    harness.now += 500
    return harness


@pytest.mark.parametrize("end", ["stopped", "killed a while later"])
def test_who_had_a_slot_for_long_waits_for_the_others_after_a_restart_too(turns, end) -> None:
    turns.broker_away = True  # nothing is handed out before the restart
    turns.broker_seen = 0.0
    turns.deliver(turns.report(turns.holding["r1"].pop()))
    turns.broker_away = False
    if end == "stopped":
        turns.stop()
    else:
        turns.now += 10
        turns.deliver()
    turns.boot()
    turns.deliver(*turns.heartbeats())
    assert [order.unit for order in turns.holding["r1"]] == ["p/c"]


def test_what_was_used_is_written_down_seldom_and_only_when_it_changed(turns, monkeypatch) -> None:
    written = []
    put = turns.state.put

    def noted(collection, key, body, **place) -> None:
        written.extend([turns.now] * (collection == "usage"))
        put(collection, key, body, **place)

    monkeypatch.setattr(turns.state, "put", noted)
    began = turns.now
    turns.work_off()
    assert turns.state.get("usage", "shares")["sources"][0] == {"source": "old", "used": [0.0, 500.0, 500.0]}
    turns.deliver(turns.snapshot(unit("d", tree="2"), source="old"), turns.request("d", id="again", source="old"))
    for seconds in (3, 4, 4, 100):
        turns.now += seconds
        turns.deliver(*turns.heartbeats())
        turns.work_off()
    turns.stop()
    assert written == [began, began + 11]


def test_quotas_of_the_settings_hold() -> None:
    harness = SchedulerHarness(runners=("r1", "r2"), quotas={"s": 1})
    harness.deliver(*harness.heartbeats(), harness.snapshot(unit("a"), unit("b")))
    harness.deliver(harness.request("a", "b"))
    assert sum(map(len, harness.holding.values())) == 1
    harness.work_off()
    assert len(harness.of(e.JobAssigned)) == 2


def large(harness: SchedulerHarness, memory: int) -> e.RunnerSeen:
    return harness.seen("r1").model_copy(update={"capacity": Capacity(memory=memory)})


def blocked(told: list[e.Payload]) -> list[str]:
    return [payload.reason for payload in told if isinstance(payload, e.JobBlocked) and not payload.waiting_for]


def test_a_job_that_no_runner_can_take_says_so_at_once_and_goes_on_when_one_comes() -> None:
    harness = SchedulerHarness()
    harness.deliver(*harness.heartbeats())
    harness.wait(20)
    needy = unit("needy").model_copy(update={"constraints": Capacity(memory=64 * GIB)})
    harness.deliver(harness.snapshot(needy), large(harness, 16 * GIB))
    told = harness.deliver(harness.request("needy"))
    assert [type(payload) for payload in told if getattr(payload, "unit", "") == "p/needy"] == [e.JobQueued]
    told = harness.deliver()
    assert blocked(told) == ["needs memory 64 GiB; the only runner, r1, has 16 GiB"]
    assert blocked(harness.deliver(large(harness, 16 * GIB))) == []
    harness.deliver(large(harness, 64 * GIB))
    assert [order.unit for order in harness.holding["r1"]] == ["p/needy"]
    harness.work_off(lambda order: Outcome.SUCCESS)
    assert harness.outcomes() == {"p/needy": "success"}


def test_nobody_is_called_missing_before_runners_had_time_to_speak() -> None:
    harness = SchedulerHarness(runners=())
    harness.deliver(harness.snapshot(unit("a")), harness.request("a"))
    assert blocked(harness.wait(10)) == []
    assert len(blocked(harness.wait(10))) == 1
