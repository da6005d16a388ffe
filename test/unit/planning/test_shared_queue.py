"""Shared queues: jobs that may be offered to a pool, slots that open offers reserve, claims that are granted."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.model.capacity import Capacity
from cloud_builder.model.events import AttemptClaimed
from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.model.unit import Target
from cloud_builder.planning.records import JobRecord, RunnerRecord
from cloud_builder.planning.schedule import shared_queue
from support import factories

NOW = 1000.0


def job(name="q.1", group="", **more) -> JobRecord:
    target = Target(name="t", arch="x86_64", runner_group=group)
    return factories.job(**{"job_id": name, "target": target, "input_key": None, **more})


def runner(name="r1", group="", slots=1, **more) -> RunnerRecord:
    queues = frozenset(shared_queue.queues_of("x86_64", group))
    times = {"started_at": 5.0, "last_seen": NOW}
    return factories.runner(name, group=group, slots=slots, **{"queues": queues, **times, **more})


def claim(name="q.1", attempt=1, runner_id="r1", incarnation=5.0) -> AttemptClaimed:
    return AttemptClaimed(job_id=name, attempt=attempt, runner_id=runner_id, runner_started_at=incarnation, at=NOW)


@pytest.mark.parametrize(
    ("group", "queues"), [("", ("x86_64",)), ("suse", ("x86_64", "x86_64.suse")), ("any", ("x86_64", "x86_64.any"))]
)
def test_runner_reads_the_queues_of_its_architecture_and_its_group(group, queues):
    assert shared_queue.queues_of("x86_64", group) == queues
    assert shared_queue.queue_of(job(group=group)) == queues[-1]


BIG = Capacity(memory=8)
UNMET = "this runner does not meet the job's requirements"


@pytest.mark.parametrize(
    ("waiting", "runners", "expected"),
    [
        (job(), [runner()], True),
        (job(), [], False),
        (job(), [runner(arch="aarch64", queues=frozenset({"aarch64"}))], False),
        (job(group="suse"), [runner("r1"), runner("r2", "suse")], True),
        (job(group="suse"), [runner("r1")], False),
        (job(), [runner("r1"), runner("r2", "suse")], True),
        (job(), [runner("r1"), runner("r2", queues=frozenset())], False),
        (job(group="suse"), [runner("r1", queues=frozenset()), runner("r2", "suse")], True),
        (job(tried_runners=("r2",)), [runner("r1"), runner("r2")], False),
        (job(constraints=BIG), [runner(capacity=BIG)], True),
        (job(constraints=BIG), [runner("r1", capacity=BIG), runner("r2")], False),
        (job(offer_count=shared_queue.MAX_OFFERS), [runner()], False),
    ],
)
def test_job_is_offered_only_if_every_runner_of_the_pool_can_take_it(waiting, runners, expected):
    assert shared_queue.may_be_offered(waiting, shared_queue.QueueReaders(runners)) is expected


def offered(name="q.1", to="r1", **more) -> JobRecord:
    return shared_queue.mark_offered(job(name, **more), to, NOW)


@pytest.mark.parametrize(
    ("current", "claimant", "reason", "pause"),
    [
        (offered(), runner(), None, 0),
        (offered(to="r2"), runner(), None, 0),
        (None, runner(), "the job has finished", 0),
        (job(state=JobState.FINISHED, outcome=Outcome.CANCELED), runner(), "the job has finished", 0),
        (job(), runner(), "the offer is no longer open", 0),
        (job(state=JobState.RUNNING, runner_id="r2", attempt=1), runner(), "r2 has the job", 0),
        (offered(attempt=1), runner(), "the offer is no longer open", 0),
        (offered(), None, "this runner gets no work now", shared_queue.REFUSAL_PAUSE),
        (offered(), runner(started_at=6.0), "this runner gets no work now", shared_queue.REFUSAL_PAUSE),
        (
            offered(group="suse"),
            runner(),
            UNMET,
            shared_queue.REFUSAL_PAUSE,
        ),
        (
            offered(constraints=BIG),
            runner(),
            UNMET,
            shared_queue.REFUSAL_PAUSE,
        ),
        (offered(), runner(attempts=frozenset({("x", 1)})), "this runner has no free slot", shared_queue.REFUSAL_PAUSE),
    ],
)
def test_claim_is_granted_or_refused_with_the_reason(current, claimant, reason, pause):
    refusal = shared_queue.check_claim(current, claim(), claimant)
    assert refusal == (None if reason is None else shared_queue.ClaimRefusal(reason, pause))


def test_granted_job_is_assigned_to_the_claimant():
    granted = shared_queue.grant(offered(to="r2"), claim(), NOW + 1)
    assert (granted.state, granted.attempt, granted.runner_id, granted.runner_incarnation) == (
        JobState.ASSIGNED,
        1,
        "r1",
        5.0,
    )
    assert granted.offered_to is None
    assert shared_queue.was_granted(granted, claim())


@pytest.mark.parametrize(
    ("repeated", "expected"),
    [
        (claim(), True),
        (claim(attempt=2), True),
        (claim(attempt=3), False),
        (claim(attempt=2, incarnation=6.0), False),
        (claim(runner_id="r2"), False),
    ],
)
def test_granted_claim_is_recognised_when_it_is_read_again(repeated, expected):
    granted = job(
        state=JobState.FINISHED,
        outcome=Outcome.SUCCESS,
        attempt=2,
        tried_runners=("r1",),
        runner_id="r1",
        runner_incarnation=5.0,
    )
    assert shared_queue.was_granted(granted, repeated) is expected
    assert not shared_queue.was_granted(None, repeated)


@pytest.mark.parametrize(("passed", "stale"), [(0, False), (12, False), (13, True), (-12, False), (-13, True)])
def test_claim_is_stale_when_its_time_differs_by_more_than_a_lease(passed, stale):
    assert shared_queue.is_stale(claim(), NOW + passed, 12.0) is stale


@pytest.mark.parametrize(("passed", "expired"), [(0, False), (12, False), (13, True), (-1, True)])
def test_offer_expires_after_a_lease_and_when_the_clock_goes_back(passed, expired):
    assert shared_queue.has_expired(offered(), NOW + passed, 12.0) is expired
    assert shared_queue.withdraw(offered()).state is JobState.QUEUED


@dataclass(frozen=True)
class Pool:
    runners: dict = field(default_factory=dict)
    offers: tuple = ()


@st.composite
def pools(draw):
    groups = st.sampled_from(["", "suse"])
    runners = {
        name: runner(name, draw(groups), slots=draw(st.integers(0, 3)), attempts=frozenset(draw(attempts_of(name))))
        for name in draw(st.sets(st.sampled_from(["r1", "r2", "r3"])))
    }
    count = draw(st.integers(0, 6))
    names = st.sampled_from(["r1", "r2", "r3"])
    return Pool(runners, tuple(offered(f"q.{n}", draw(names), group=draw(groups)) for n in range(count)))


def attempts_of(name):
    return st.sets(st.sampled_from([(f"{name}.1", 1), (f"{name}.2", 1)]))


@given(pools())
def test_open_offers_reserve_only_free_slots_of_their_pool(pool):
    left = shared_queue.reserved(pool.runners, pool.offers)
    assert left.keys() == pool.runners.keys()
    for name, before in pool.runners.items():
        extra = left[name].attempts - before.attempts
        assert len(extra) <= before.free
        assert extra <= {(job.job_id, 1) for job in pool.offers}
    counted = [attempt for name in left for attempt in left[name].attempts - pool.runners[name].attempts]
    assert len(counted) == len(set(counted))
    without_slot = [job for job in pool.offers if (job.job_id, 1) not in counted]
    for job in without_slot:
        eligible = [member for member in left.values() if job.target.runner_group in ("", member.runner_group)]
        assert all(member.free == 0 for member in eligible)
