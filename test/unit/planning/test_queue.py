"""The queue: who gets the next slot. Tables for the rules, properties for fairness, quotas, ageing and restoring."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_builder.model.priority import Priority
from cloud_builder.planning.schedule.queue import ActiveJob, JobQueue, QueuedJob, QueuePolicy, restored

BULK, NORMAL, INTERACTIVE = Priority.BULK, Priority.NORMAL, Priority.INTERACTIVE


def ticket(job_id: str, source: str = "s", priority: Priority = NORMAL, **more) -> QueuedJob:
    told = {"pool": "x", "requester": "r", "since": 0.0, "sequence": 1, "critical_path": 0.0, "number": 1}
    return QueuedJob(job_id=job_id, source=source, priority=priority, **{**told, **more})


def take(order: JobQueue, now: float = 0.0) -> str | None:
    """The next job of all pools gets a slot."""
    order.advance_time(now)
    heads = [head for pool in order.pools() if (head := order.peek(pool)) is not None]
    return order.pop_to_slot(min(heads).job_id, now).job_id if heads else None


def drain(order: JobQueue, now: float = 0.0) -> list[str]:
    """All that wait, as if each ended before the next one starts."""
    taken = []
    while (job_id := take(order, now)) is not None:
        order.release(job_id, now)
        taken.append(job_id)
    return taken


@pytest.mark.parametrize(
    ("tickets", "expected"),
    [
        pytest.param(
            [ticket("a", priority=BULK), ticket("b"), ticket("c", priority=INTERACTIVE)], "cba", id="class goes first"
        ),
        pytest.param([ticket("a", sequence=2), ticket("b", sequence=1)], "ba", id="the older request goes first"),
        pytest.param(
            [ticket("a", critical_path=3.0), ticket("b", critical_path=9.0)], "ba", id="the longer way goes first"
        ),
        pytest.param([ticket("a", number=2), ticket("b", number=1)], "ba", id="then the number"),
        pytest.param([ticket("a", pool="x", number=2), ticket("b", pool="y")], "ba", id="across pools"),
    ],
)
def test_who_goes_first(tickets, expected) -> None:
    order = restored(QueuePolicy(), tickets, (), now=0.0)
    assert drain(order) == list(expected)


def test_one_that_comes_into_a_flood_gets_the_next_slot() -> None:
    flood = [ticket(f"f{n}", "flood", number=n) for n in range(3000)]
    order = restored(QueuePolicy(), flood, (), now=0.0)
    for _ in range(50):
        take(order)
    order.add(ticket("late", "small", sequence=2, since=9.0), now=9.0)
    order.release("f0", 10.0)
    assert take(order, 10.0) == "late"


@pytest.mark.parametrize("late", [{"source": "s"}, {"source": "s", "requester": "other"}, {"source": "t"}])
def test_an_interactive_one_passes_a_bulk_flood_that_has_aged(late) -> None:
    flood = [ticket(f"f{n}", priority=BULK, number=n) for n in range(100)]
    order = restored(QueuePolicy(ageing=10.0), flood, (), now=0.0)
    for _ in range(5):
        take(order)
    order.advance_time(200.0)
    assert take(order, 200.0).startswith("f")
    order.add(ticket("late", priority=INTERACTIVE, since=200.0, sequence=2, **late), now=200.0)
    assert take(order, 200.0) == "late"


def test_bulk_work_does_not_count_against_what_is_urgent() -> None:
    held = [ActiveJob(f"h{n}", "busy", "r", BULK, 0.0) for n in range(50)] + [
        ActiveJob("i", "calm", "r", INTERACTIVE, 0.0)
    ]
    waiting = [ticket("calm", "calm", INTERACTIVE), ticket("busy", "busy", INTERACTIVE)]
    assert take(restored(QueuePolicy(), waiting, held, now=1.0), 1.0) == "busy"


def test_bulk_work_rises_with_its_waiting() -> None:
    order = restored(QueuePolicy(ageing=10.0), [ticket("old", "bulk", BULK)], (), now=0.0)
    for second in range(99):
        order.add(ticket(f"n{second}", "busy", INTERACTIVE, since=float(second)), float(second))
        assert take(order, float(second)) == f"n{second}"
    order.add(ticket("new", "busy", INTERACTIVE, since=100.0), 100.0)
    assert take(order, 100.0) == "old"


def test_work_that_waits_for_long_shares_with_the_class_above_and_does_not_pass_it() -> None:
    flood = [ticket(f"f{n}", priority=BULK, number=n) for n in range(100)]
    order = restored(QueuePolicy(ageing=10.0), flood, (), now=0.0)
    order.advance_time(50.0)
    for number in range(20):
        order.add(ticket(f"p{number}", since=50.0, number=number, sequence=2), 50.0)
    assert Counter(take(order, 50.0)[0] for _ in range(20)) == {"f": 4, "p": 16}


@pytest.mark.parametrize("priority", list(Priority))
@pytest.mark.parametrize("whose", [{}, {"requester": "me"}, {"source": "mine"}])
def test_nobody_starves_beside_an_endless_stream_of_urgent_work(priority, whose) -> None:
    """One slot, and more interactive jobs each second than it can take."""
    order = restored(
        QueuePolicy(ageing=10.0), [ticket("me", **{"priority": priority, "sequence": 5, **whose})], (), now=0.0
    )
    for second in range(150):
        now = float(second)
        for twice in range(2):
            order.add(ticket(f"{second}.{twice}", priority=INTERACTIVE, since=now, sequence=6 + second), now)
        job_id = take(order, now)
        order.release(job_id, now + 1.0)
        if job_id == "me":
            return
    pytest.fail("it never had its turn")


def test_waiting_does_not_put_the_order_of_a_request_upside_down() -> None:
    order = restored(
        QueuePolicy(ageing=10.0), [ticket(f"old{n}", priority=BULK, critical_path=1.0) for n in range(3)], (), now=0.0
    )
    order.advance_time(50.0)
    order.add(ticket("long way", priority=BULK, critical_path=9.0, since=50.0), 50.0)
    assert take(order, 50.0) == "long way"


def test_a_job_that_was_replaced_does_not_rise_by_its_old_waiting() -> None:
    order = restored(QueuePolicy(ageing=10.0), [ticket("a", "s", BULK)], (), now=0.0)
    order.add(ticket("a", "s", BULK, since=9.0), 9.0)
    order.advance_time(12.0)
    assert order.rank("a") == BULK.rank


def test_a_weight_is_a_share_of_the_slots() -> None:
    waiting = [ticket(f"{source}{n}", source, number=n) for source in "ab" for n in range(100)]
    order = restored(QueuePolicy(weights={"a": 3.0}), waiting, (), now=0.0)
    assert Counter(take(order)[0] for _ in range(40)) == {"a": 30, "b": 10}


def test_with_one_slot_weights_count_by_what_was_used() -> None:
    waiting = [ticket(f"{source}{n}", source, number=n) for source in "ab" for n in range(100)]
    order = restored(QueuePolicy(weights={"a": 3.0}), waiting, (), now=0.0)
    taken, now = Counter(), 0.0
    for _ in range(40):
        job_id = take(order, now)
        now += 10.0
        order.release(job_id, now)
        taken[job_id[0]] += 1
    assert taken == {"a": 30, "b": 10}


@pytest.mark.parametrize("quotas", [{"a": 2}, {"r": 2}])
def test_a_quota_is_never_passed_and_gives_way_when_a_slot_is_given_back(quotas) -> None:
    order = restored(QueuePolicy(quotas=quotas), [ticket(f"a{n}", "a", number=n) for n in range(5)], (), now=0.0)
    assert [take(order) for _ in range(3)] == ["a0", "a1", None]
    order.release("a1", 1.0)
    assert [take(order), take(order)] == ["a2", None]


def test_what_was_used_fades() -> None:
    order = restored(
        QueuePolicy(), [ticket("a0", "a"), ticket("b0", "b")], [ActiveJob("h", "a", "r", NORMAL, 0.0)], now=0.0
    )
    order.release("h", 100.0)
    assert order.peek("x").job_id == "b0"
    order.advance_time(1e6)
    assert order.peek("x").job_id == "a0"


# --- properties -------------------------------------------------------------------------------------------------------

names = st.sampled_from(["a", "b", "c"])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), names, names, st.sampled_from(list(Priority)), st.integers(0, 3), st.floats(0, 99)),
        st.tuples(st.just("take"), st.sampled_from(["x", "y", None])),
        st.tuples(st.just("end"), st.integers(0, 50)),
        st.tuples(st.just("remove"), st.integers(0, 50)),
        st.tuples(st.just("wait"), st.floats(0.1, 5000.0)),
    ),
    max_size=60,
)


class Model:
    """The rules said plainly: look at every waiting job each time."""

    def __init__(self, rules: QueuePolicy) -> None:
        self.rules = rules
        self.waiting: dict[str, QueuedJob] = {}
        self.held: dict[str, ActiveJob] = {}
        self.ranks: dict[str, int] = {}

    def count(self, name: str) -> int:
        return sum(name in (one.source, one.requester) for one in self.held.values())

    def allowed(self, one: QueuedJob) -> bool:
        return all(self.count(name) < self.rules.quotas.get(name, 10**9) for name in (one.source, one.requester))

    def classes(self, one: QueuedJob, now: float) -> int:
        beside = [each for each in self.waiting.values() if (each.pool, *each[2:5]) == (one.pool, *one[2:5])]
        waited = (now - min(each.since for each in beside)) / self.rules.ageing
        return max(0, one.priority.rank - (waited >= 1) - (waited >= 10))

    def key(self, one: QueuedJob, now: float) -> tuple:
        rank = self.classes(one, now)
        source = sum(h.source == one.source and self.ranks[h.job_id] <= rank for h in self.held.values())
        return (rank, source / self.rules.weights.get(one.source, 1.0))


@settings(max_examples=150, deadline=None)
@given(steps, st.dictionaries(names, st.integers(1, 3), max_size=2), st.dictionaries(names, st.floats(0.5, 4)))
def test_any_history_keeps_the_rules(history, quotas, weights) -> None:
    rules = QueuePolicy(ageing=100.0, weights=weights, quotas=quotas)
    order, model, now = JobQueue(rules), Model(rules), 0.0
    for number, (verb, *about) in enumerate(history):
        if verb == "add":
            source, requester, priority, sequence, path = about
            pool = "xy"[number % 2]
            one = QueuedJob(f"j{number}", pool, source, requester, priority, now, sequence, path, number)
            order.add(one, now)
            model.waiting[one.job_id] = one
        elif verb == "take":
            pools = [about[0]] if about[0] else ["x", "y"]
            order.advance_time(now)
            heads = [head for pool in pools if (head := order.peek(pool)) is not None]
            able = [one for one in model.waiting.values() if one.pool in pools and model.allowed(one)]
            assert bool(heads) == bool(able)
            if heads:
                one = order.pop_to_slot(min(heads).job_id, now)
                assert model.key(one, now) == min(model.key(other, now) for other in able)
                assert model.allowed(one)
                model.ranks[one.job_id] = model.classes(one, now)
                del model.waiting[one.job_id]
                model.held[one.job_id] = ActiveJob(one.job_id, one.source, one.requester, one.priority, now)
        elif verb == "end" and model.held:
            job_id = sorted(model.held)[about[0] % len(model.held)]
            order.release(job_id, now)
            del model.held[job_id]
        elif verb == "remove" and model.waiting:
            job_id = sorted(model.waiting)[about[0] % len(model.waiting)]
            order.remove(job_id)
            del model.waiting[job_id]
        elif verb == "wait":
            now += about[0]
            order.advance_time(now)
    assert {one.job_id for one in order.tickets()} == set(model.waiting)
    again = restored(rules, sorted(model.waiting.values()), model.held.values(), now)
    for job_id in model.held:
        order.release(job_id, now)
        again.release(job_id, now)
    assert sorted(drain(order, now)) == sorted(drain(again, now)) == sorted(model.waiting)


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(40)), st.integers(0, 1000))
def test_the_order_is_a_function_of_its_inputs(shuffled, seed) -> None:
    random = Random(seed)
    waiting = [
        ticket(f"j{n}", random.choice("abc"), random.choice(list(Priority)), number=n, critical_path=random.random())
        for n in range(40)
    ]
    held = [ActiveJob(f"h{n}", random.choice("abc"), "r", NORMAL, 0.0) for n in range(5)]
    one = restored(QueuePolicy(), waiting, held, now=1.0)
    other = restored(QueuePolicy(), [waiting[n] for n in shuffled], held, now=1.0)
    assert [take(one, 2.0) for _ in waiting] == [take(other, 2.0) for _ in waiting]


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(2, 8))
def test_equal_weights_get_equal_shares_and_nobody_starves(seed, slots, tenants) -> None:
    """Each tenant always has work, of its own mean length: Jain's index of what they used is near 1."""
    random = Random(seed)
    names = [f"t{n}" for n in range(tenants)]
    length = {name: random.uniform(5.0, 50.0) for name in names}
    order, running, used, now, number = JobQueue(QueuePolicy()), [], Counter(), 0.0, 0
    while now < 3000.0:
        queued = Counter(one.source for one in order.tickets())
        for name in names:
            for _ in range(slots - queued[name]):
                number += 1
                order.add(ticket(f"{name}.{number}", name, since=now, number=number), now)
        while len(running) < slots:
            job_id = take(order, now)
            running.append((now + random.expovariate(1 / length[job_id.split(".")[0]]), now, job_id))
        running.sort()
        now, begun, job_id = running.pop(0)
        order.release(job_id, now)
        used[job_id.split(".")[0]] += now - begun
    total = sum(used.values())
    assert total**2 / (tenants * sum(used[name] ** 2 for name in names)) > 0.9
