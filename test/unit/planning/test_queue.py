"""The queue: which job gets the next slot. Tables for the rules, properties for fairness, quotas and ageing."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_builder.model.priority import Priority
from cloud_builder.planning.schedule.queue import ActiveJob, JobQueue, QueuedJob, QueuePolicy, restored

BULK, NORMAL, INTERACTIVE = Priority.BULK, Priority.NORMAL, Priority.INTERACTIVE


def queued(job_id: str, source: str = "s", priority: Priority = NORMAL, **more) -> QueuedJob:
    defaults = {"requirements": "x", "requester": "r", "since": 0.0, "sequence": 1, "critical_path": 0.0, "number": 1}
    return QueuedJob(job_id=job_id, source=source, priority=priority, **{**defaults, **more})


def take(queue: JobQueue, now: float = 0.0) -> str | None:
    """Gives a slot to the next job of all requirements."""
    queue.advance_time(now)
    heads = [head for asked in queue.requirements() if (head := queue.peek(asked)) is not None]
    return queue.pop_to_slot(min(heads).job_id, now).job_id if heads else None


def drain(queue: JobQueue, now: float = 0.0) -> list[str]:
    """Takes all waiting jobs, as if each ended before the next one starts."""
    taken = []
    while (job_id := take(queue, now)) is not None:
        queue.release(job_id, now)
        taken.append(job_id)
    return taken


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        pytest.param(
            [queued("a", priority=BULK), queued("b"), queued("c", priority=INTERACTIVE)], "cba", id="the class"
        ),
        pytest.param([queued("a", sequence=2), queued("b", sequence=1)], "ba", id="the older request"),
        pytest.param([queued("a", critical_path=3.0), queued("b", critical_path=9.0)], "ba", id="the longer path"),
        pytest.param([queued("a", number=2), queued("b", number=1)], "ba", id="then the number"),
        pytest.param([queued("a", number=2), queued("b", requirements="y")], "ba", id="across requirements"),
    ],
)
def test_the_rules_in_their_order(waiting, expected) -> None:
    queue = restored(QueuePolicy(), waiting, (), now=0.0)
    assert drain(queue) == list(expected)


def test_a_source_that_comes_into_a_flood_gets_the_next_slot() -> None:
    flood = [queued(f"f{n}", "flood", number=n) for n in range(3000)]
    queue = restored(QueuePolicy(), flood, (), now=0.0)
    for _ in range(50):
        take(queue)
    queue.add(queued("late", "small", sequence=2, since=9.0), now=9.0)
    queue.release("f0", 10.0)
    assert take(queue, 10.0) == "late"


@pytest.mark.parametrize("late", [{"source": "s"}, {"source": "s", "requester": "other"}, {"source": "t"}])
def test_an_interactive_job_passes_a_bulk_flood_that_has_aged(late) -> None:
    flood = [queued(f"f{n}", priority=BULK, number=n) for n in range(100)]
    queue = restored(QueuePolicy(ageing=10.0), flood, (), now=0.0)
    for _ in range(5):
        take(queue)
    queue.advance_time(200.0)
    assert take(queue, 200.0).startswith("f")
    queue.add(queued("late", priority=INTERACTIVE, since=200.0, sequence=2, **late), now=200.0)
    assert take(queue, 200.0) == "late"


def test_bulk_work_does_not_count_against_what_is_urgent() -> None:
    active = [ActiveJob(f"h{n}", "busy", "r", BULK, 0.0) for n in range(50)] + [
        ActiveJob("i", "calm", "r", INTERACTIVE, 0.0)
    ]
    waiting = [queued("calm", "calm", INTERACTIVE), queued("busy", "busy", INTERACTIVE)]
    assert take(restored(QueuePolicy(), waiting, active, now=1.0), 1.0) == "busy"


def test_bulk_work_ages_into_a_higher_class() -> None:
    queue = restored(QueuePolicy(ageing=10.0), [queued("old", "bulk", BULK)], (), now=0.0)
    for second in range(99):
        queue.add(queued(f"n{second}", "busy", INTERACTIVE, since=float(second)), float(second))
        assert take(queue, float(second)) == f"n{second}"
    queue.add(queued("new", "busy", INTERACTIVE, since=100.0), 100.0)
    assert take(queue, 100.0) == "old"


def test_aged_work_shares_with_the_class_above_and_does_not_pass_it() -> None:
    flood = [queued(f"f{n}", priority=BULK, number=n) for n in range(100)]
    queue = restored(QueuePolicy(ageing=10.0), flood, (), now=0.0)
    queue.advance_time(50.0)
    for number in range(20):
        queue.add(queued(f"p{number}", since=50.0, number=number, sequence=2), 50.0)
    assert Counter(take(queue, 50.0)[0] for _ in range(20)) == {"f": 4, "p": 16}


@pytest.mark.parametrize("priority", list(Priority))
@pytest.mark.parametrize("whose", [{}, {"requester": "me"}, {"source": "mine"}])
def test_no_job_starves_beside_an_endless_stream_of_urgent_work(priority, whose) -> None:
    """One slot, and more interactive jobs each second than it can take."""
    queue = restored(
        QueuePolicy(ageing=10.0), [queued("me", **{"priority": priority, "sequence": 5, **whose})], (), now=0.0
    )
    for second in range(150):
        now = float(second)
        for twice in range(2):
            queue.add(queued(f"{second}.{twice}", priority=INTERACTIVE, since=now, sequence=6 + second), now)
        job_id = take(queue, now)
        queue.release(job_id, now + 1.0)
        if job_id == "me":
            return
    pytest.fail("it never had its turn")


def test_ageing_keeps_the_order_of_the_jobs_of_a_request() -> None:
    queue = restored(
        QueuePolicy(ageing=10.0), [queued(f"old{n}", priority=BULK, critical_path=1.0) for n in range(3)], (), now=0.0
    )
    queue.advance_time(50.0)
    queue.add(queued("long path", priority=BULK, critical_path=9.0, since=50.0), 50.0)
    assert take(queue, 50.0) == "long path"


def test_a_job_that_was_replaced_does_not_rise_by_its_old_waiting() -> None:
    queue = restored(QueuePolicy(ageing=10.0), [queued("a", "s", BULK)], (), now=0.0)
    queue.add(queued("a", "s", BULK, since=9.0), 9.0)
    queue.advance_time(12.0)
    assert queue.rank("a") == BULK.rank


def test_a_weight_is_a_share_of_the_slots() -> None:
    waiting = [queued(f"{source}{n}", source, number=n) for source in "ab" for n in range(100)]
    queue = restored(QueuePolicy(weights={"a": 3.0}), waiting, (), now=0.0)
    assert Counter(take(queue)[0] for _ in range(40)) == {"a": 30, "b": 10}


def test_with_one_slot_weights_count_by_what_was_used() -> None:
    waiting = [queued(f"{source}{n}", source, number=n) for source in "ab" for n in range(100)]
    queue = restored(QueuePolicy(weights={"a": 3.0}), waiting, (), now=0.0)
    taken, now = Counter(), 0.0
    for _ in range(40):
        job_id = take(queue, now)
        now += 10.0
        queue.release(job_id, now)
        taken[job_id[0]] += 1
    assert taken == {"a": 30, "b": 10}


@pytest.mark.parametrize("quotas", [{"a": 2}, {"r": 2}])
def test_a_quota_is_never_exceeded_and_a_released_slot_counts_at_once(quotas) -> None:
    queue = restored(QueuePolicy(quotas=quotas), [queued(f"a{n}", "a", number=n) for n in range(5)], (), now=0.0)
    assert [take(queue) for _ in range(3)] == ["a0", "a1", None]
    queue.release("a1", 1.0)
    assert [take(queue), take(queue)] == ["a2", None]


def test_used_slot_seconds_decay() -> None:
    queue = restored(
        QueuePolicy(), [queued("a0", "a"), queued("b0", "b")], [ActiveJob("h", "a", "r", NORMAL, 0.0)], now=0.0
    )
    queue.release("h", 100.0)
    assert queue.peek("x").job_id == "b0"
    queue.advance_time(1e6)
    assert queue.peek("x").job_id == "a0"


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
    """The rules in plain form: reads every waiting job each time."""

    def __init__(self, policy: QueuePolicy) -> None:
        self.policy = policy
        self.waiting: dict[str, QueuedJob] = {}
        self.active: dict[str, ActiveJob] = {}
        self.ranks: dict[str, int] = {}

    def count(self, name: str) -> int:
        return sum(name in (one.source, one.requester) for one in self.active.values())

    def allowed(self, one: QueuedJob) -> bool:
        return all(self.count(name) < self.policy.quotas.get(name, 10**9) for name in (one.source, one.requester))

    def rank(self, one: QueuedJob, now: float) -> int:
        beside = [
            each for each in self.waiting.values() if (each.requirements, *each[2:5]) == (one.requirements, *one[2:5])
        ]
        waited = (now - min(each.since for each in beside)) / self.policy.ageing
        return max(0, one.priority.rank - (waited >= 1) - (waited >= 10))

    def key(self, one: QueuedJob, now: float) -> tuple:
        rank = self.rank(one, now)
        source = sum(
            active.source == one.source and self.ranks[active.job_id] <= rank for active in self.active.values()
        )
        return (rank, source / self.policy.weights.get(one.source, 1.0))


@settings(max_examples=150, deadline=None)
@given(steps, st.dictionaries(names, st.integers(1, 3), max_size=2), st.dictionaries(names, st.floats(0.5, 4)))
def test_any_history_keeps_the_rules(history, quotas, weights) -> None:
    policy = QueuePolicy(ageing=100.0, weights=weights, quotas=quotas)
    queue, model, now = JobQueue(policy), Model(policy), 0.0
    for number, (verb, *about) in enumerate(history):
        if verb == "add":
            source, requester, priority, sequence, path = about
            pool = "xy"[number % 2]
            one = QueuedJob(f"j{number}", pool, source, requester, priority, now, sequence, path, number)
            queue.add(one, now)
            model.waiting[one.job_id] = one
        elif verb == "take":
            pools = [about[0]] if about[0] else ["x", "y"]
            queue.advance_time(now)
            heads = [head for pool in pools if (head := queue.peek(pool)) is not None]
            able = [one for one in model.waiting.values() if one.requirements in pools and model.allowed(one)]
            assert bool(heads) == bool(able)
            if heads:
                one = queue.pop_to_slot(min(heads).job_id, now)
                assert model.key(one, now) == min(model.key(other, now) for other in able)
                assert model.allowed(one)
                model.ranks[one.job_id] = model.rank(one, now)
                del model.waiting[one.job_id]
                model.active[one.job_id] = ActiveJob(one.job_id, one.source, one.requester, one.priority, now)
        elif verb == "end" and model.active:
            job_id = sorted(model.active)[about[0] % len(model.active)]
            queue.release(job_id, now)
            del model.active[job_id]
        elif verb == "remove" and model.waiting:
            job_id = sorted(model.waiting)[about[0] % len(model.waiting)]
            queue.remove(job_id)
            del model.waiting[job_id]
        elif verb == "wait":
            now += about[0]
            queue.advance_time(now)
    assert {one.job_id for one in queue.jobs()} == set(model.waiting)
    again = restored(policy, sorted(model.waiting.values()), model.active.values(), now)
    for job_id in model.active:
        queue.release(job_id, now)
        again.release(job_id, now)
    assert sorted(drain(queue, now)) == sorted(drain(again, now)) == sorted(model.waiting)


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(40)), st.integers(0, 1000))
def test_the_order_is_a_function_of_its_inputs(shuffled, seed) -> None:
    random = Random(seed)
    waiting = [
        queued(f"j{n}", random.choice("abc"), random.choice(list(Priority)), number=n, critical_path=random.random())
        for n in range(40)
    ]
    active = [ActiveJob(f"h{n}", random.choice("abc"), "r", NORMAL, 0.0) for n in range(5)]
    one = restored(QueuePolicy(), waiting, active, now=1.0)
    other = restored(QueuePolicy(), [waiting[n] for n in shuffled], active, now=1.0)
    assert [take(one, 2.0) for _ in waiting] == [take(other, 2.0) for _ in waiting]


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(2, 8))
def test_equal_weights_get_equal_shares_and_no_tenant_starves(seed, slots, tenants) -> None:
    """Each tenant always has work, of its own mean length: Jain's index of what the tenants used is near 1."""
    random = Random(seed)
    names = [f"t{n}" for n in range(tenants)]
    length = {name: random.uniform(5.0, 50.0) for name in names}
    queue, running, used, now, number = JobQueue(QueuePolicy()), [], Counter(), 0.0, 0
    while now < 3000.0:
        counts = Counter(job.source for job in queue.jobs())
        for name in names:
            for _ in range(slots - counts[name]):
                number += 1
                queue.add(queued(f"{name}.{number}", name, since=now, number=number), now)
        while len(running) < slots:
            job_id = take(queue, now)
            running.append((now + random.expovariate(1 / length[job_id.split(".")[0]]), now, job_id))
        running.sort()
        now, started, job_id = running.pop(0)
        queue.release(job_id, now)
        used[job_id.split(".")[0]] += now - started
    total = sum(used.values())
    assert total**2 / (tenants * sum(used[name] ** 2 for name in names)) > 0.9
