"""The job queue: order of the jobs, fair share, weights, quotas and ageing, as tables and as properties."""

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
    """Gives a slot to the next job over all requirements. Returns its id, or None."""
    queue.advance_time(now)
    heads = [head for needs in queue.requirements() if (head := queue.peek(needs)) is not None]
    return queue.pop_to_slot(min(heads).job_id, now).job_id if heads else None


def drain(queue: JobQueue, now: float = 0.0) -> list[str]:
    """Takes all waiting jobs, each of which ends before the next one starts. Returns their ids."""
    taken = []
    while (job_id := take(queue, now)) is not None:
        queue.release(job_id, now)
        taken.append(job_id)
    return taken


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        pytest.param([queued("a", priority=BULK), queued("b"), queued("c", priority=INTERACTIVE)], "cba", id="class"),
        pytest.param([queued("a", sequence=2), queued("b", sequence=1)], "ba", id="older request"),
        pytest.param([queued("a", critical_path=3.0), queued("b", critical_path=9.0)], "ba", id="longer critical path"),
        pytest.param([queued("a", number=2), queued("b", number=1)], "ba", id="number"),
        pytest.param([queued("a", number=2), queued("b", requirements="y")], "ba", id="across requirements"),
    ],
)
def test_jobs_are_ordered_by_class_request_path_and_number(waiting, expected) -> None:
    queue = restored(QueuePolicy(), waiting, (), now=0.0)
    assert drain(queue) == list(expected)


def test_new_source_gets_the_next_slot_beside_a_large_backlog() -> None:
    flood = [queued(f"f{n}", "flood", number=n) for n in range(3000)]
    queue = restored(QueuePolicy(), flood, (), now=0.0)
    for _ in range(50):
        take(queue)
    queue.add(queued("late", "small", sequence=2, since=9.0), now=9.0)
    queue.release("f0", 10.0)
    assert take(queue, 10.0) == "late"


@pytest.mark.parametrize("late", [{"source": "s"}, {"source": "s", "requester": "other"}, {"source": "t"}])
def test_interactive_job_goes_before_aged_bulk_jobs(late) -> None:
    flood = [queued(f"f{n}", priority=BULK, number=n) for n in range(100)]
    queue = restored(QueuePolicy(ageing=10.0), flood, (), now=0.0)
    for _ in range(5):
        take(queue)
    queue.advance_time(200.0)
    assert take(queue, 200.0).startswith("f")
    queue.add(queued("late", priority=INTERACTIVE, since=200.0, sequence=2, **late), now=200.0)
    assert take(queue, 200.0) == "late"


def test_bulk_slots_do_not_count_in_the_share_of_interactive_jobs() -> None:
    active = [ActiveJob(f"h{n}", "busy", "r", BULK, 0.0) for n in range(50)] + [
        ActiveJob("i", "idle", "r", INTERACTIVE, 0.0)
    ]
    waiting = [queued("idle", "idle", INTERACTIVE), queued("busy", "busy", INTERACTIVE)]
    assert take(restored(QueuePolicy(), waiting, active, now=1.0), 1.0) == "busy"


def test_bulk_job_ages_into_a_higher_class() -> None:
    queue = restored(QueuePolicy(ageing=10.0), [queued("old", "bulk", BULK)], (), now=0.0)
    for second in range(99):
        queue.add(queued(f"n{second}", "busy", INTERACTIVE, since=float(second)), float(second))
        assert take(queue, float(second)) == f"n{second}"
    queue.add(queued("new", "busy", INTERACTIVE, since=100.0), 100.0)
    assert take(queue, 100.0) == "old"


def test_aged_jobs_get_a_share_of_the_slots_of_the_class_above() -> None:
    flood = [queued(f"f{n}", priority=BULK, number=n) for n in range(100)]
    queue = restored(QueuePolicy(ageing=10.0), flood, (), now=0.0)
    queue.advance_time(50.0)
    for number in range(20):
        queue.add(queued(f"p{number}", since=50.0, number=number, sequence=2), 50.0)
    assert Counter(take(queue, 50.0)[0] for _ in range(20)) == {"f": 4, "p": 16}


@pytest.mark.parametrize("priority", list(Priority))
@pytest.mark.parametrize("owner", [{}, {"requester": "me"}, {"source": "mine"}])
def test_no_job_starves_beside_an_endless_stream_of_interactive_jobs(priority, owner) -> None:
    """One slot, and more interactive jobs each second than it can take."""
    queue = restored(
        QueuePolicy(ageing=10.0), [queued("me", **{"priority": priority, "sequence": 5, **owner})], (), now=0.0
    )
    for second in range(150):
        now = float(second)
        for copy in range(2):
            queue.add(queued(f"{second}.{copy}", priority=INTERACTIVE, since=now, sequence=6 + second), now)
        job_id = take(queue, now)
        queue.release(job_id, now + 1.0)
        if job_id == "me":
            return
    pytest.fail("the job never got a slot")


def test_ageing_keeps_the_order_of_jobs_of_a_request() -> None:
    queue = restored(
        QueuePolicy(ageing=10.0), [queued(f"old{n}", priority=BULK, critical_path=1.0) for n in range(3)], (), now=0.0
    )
    queue.advance_time(50.0)
    queue.add(queued("long", priority=BULK, critical_path=9.0, since=50.0), 50.0)
    assert take(queue, 50.0) == "long"


def test_replaced_job_ages_from_its_new_start_of_waiting() -> None:
    queue = restored(QueuePolicy(ageing=10.0), [queued("a", "s", BULK)], (), now=0.0)
    queue.add(queued("a", "s", BULK, since=9.0), 9.0)
    queue.advance_time(12.0)
    assert queue.rank("a") == BULK.rank


def test_weights_divide_the_slots() -> None:
    waiting = [queued(f"{source}{n}", source, number=n) for source in "ab" for n in range(100)]
    queue = restored(QueuePolicy(weights={"a": 3.0}), waiting, (), now=0.0)
    assert Counter(take(queue)[0] for _ in range(40)) == {"a": 30, "b": 10}


def test_weights_divide_the_slot_seconds_of_a_single_slot() -> None:
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
def test_quota_limits_slots_and_a_released_slot_counts_at_once(quotas) -> None:
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
    """A slow reference model of the queue: it reads every waiting job each time."""

    def __init__(self, policy: QueuePolicy) -> None:
        self.policy = policy
        self.waiting: dict[str, QueuedJob] = {}
        self.active: dict[str, ActiveJob] = {}
        self.ranks: dict[str, int] = {}

    def count(self, name: str) -> int:
        return sum(name in (job.source, job.requester) for job in self.active.values())

    def allowed(self, job: QueuedJob) -> bool:
        return all(self.count(name) < self.policy.quotas.get(name, 10**9) for name in (job.source, job.requester))

    def rank(self, job: QueuedJob, now: float) -> int:
        alike = [
            other
            for other in self.waiting.values()
            if (other.requirements, *other[2:5]) == (job.requirements, *job[2:5])
        ]
        waited = (now - min(other.since for other in alike)) / self.policy.ageing
        return max(0, job.priority.rank - (waited >= 1) - (waited >= 10))

    def key(self, job: QueuedJob, now: float) -> tuple:
        rank = self.rank(job, now)
        source = sum(
            active.source == job.source and self.ranks[active.job_id] <= rank for active in self.active.values()
        )
        return (rank, source / self.policy.weights.get(job.source, 1.0))


@settings(max_examples=150, deadline=None)
@given(steps, st.dictionaries(names, st.integers(1, 3), max_size=2), st.dictionaries(names, st.floats(0.5, 4)))
def test_queue_agrees_with_the_model_over_any_history(history, quotas, weights) -> None:
    policy = QueuePolicy(ageing=100.0, weights=weights, quotas=quotas)
    queue, model, now = JobQueue(policy), Model(policy), 0.0
    for number, (verb, *about) in enumerate(history):
        if verb == "add":
            source, requester, priority, sequence, path = about
            requirements = "xy"[number % 2]
            job = QueuedJob(f"j{number}", requirements, source, requester, priority, now, sequence, path, number)
            queue.add(job, now)
            model.waiting[job.job_id] = job
        elif verb == "take":
            queried = [about[0]] if about[0] else ["x", "y"]
            queue.advance_time(now)
            heads = [head for needs in queried if (head := queue.peek(needs)) is not None]
            candidates = [job for job in model.waiting.values() if job.requirements in queried and model.allowed(job)]
            assert bool(heads) == bool(candidates)
            if heads:
                job = queue.pop_to_slot(min(heads).job_id, now)
                assert model.key(job, now) == min(model.key(other, now) for other in candidates)
                assert model.allowed(job)
                model.ranks[job.job_id] = model.rank(job, now)
                del model.waiting[job.job_id]
                model.active[job.job_id] = ActiveJob(job.job_id, job.source, job.requester, job.priority, now)
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
    assert {job.job_id for job in queue.jobs()} == set(model.waiting)
    restarted = restored(policy, sorted(model.waiting.values()), model.active.values(), now)
    for job_id in model.active:
        queue.release(job_id, now)
        restarted.release(job_id, now)
    assert sorted(drain(queue, now)) == sorted(drain(restarted, now)) == sorted(model.waiting)


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(40)), st.integers(0, 1000))
def test_order_does_not_depend_on_the_sequence_of_additions(shuffled, seed) -> None:
    random = Random(seed)
    waiting = [
        queued(f"j{n}", random.choice("abc"), random.choice(list(Priority)), number=n, critical_path=random.random())
        for n in range(40)
    ]
    active = [ActiveJob(f"h{n}", random.choice("abc"), "r", NORMAL, 0.0) for n in range(5)]
    first = restored(QueuePolicy(), waiting, active, now=1.0)
    second = restored(QueuePolicy(), [waiting[n] for n in shuffled], active, now=1.0)
    assert [take(first, 2.0) for _ in waiting] == [take(second, 2.0) for _ in waiting]


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(2, 8))
def test_sources_of_equal_weight_get_equal_shares(seed, slots, sources) -> None:
    """Jain's index of the used slot seconds is near 1. Each source always has jobs, of its own mean length."""
    random = Random(seed)
    names = [f"t{n}" for n in range(sources)]
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
    assert total**2 / (sources * sum(used[name] ** 2 for name in names)) > 0.9
