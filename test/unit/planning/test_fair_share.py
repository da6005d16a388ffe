"""Recent usage of slots: it is restored after a restart, and it decays."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.model.parts import MAX_PART_BYTES
from cloud_builder.model.priority import Priority
from cloud_builder.planning.schedule.fair_share import FairShares
from cloud_builder.planning.schedule.queued_job import CLASSES, USAGE_HALF_LIFE, ActiveJob, QueuePolicy
from cloud_builder.planning.schedule.usage import RequesterUsage, UsageSnapshot, largest_that_fit

NAMES = st.sampled_from(["a", "b", "c"])
PRIORITIES = list(Priority)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("start"), NAMES, NAMES, st.sampled_from(PRIORITIES), st.integers(0, 2)),
        st.tuples(st.just("end"), st.integers(0, 50)),
        st.tuples(st.just("wait"), st.floats(0.1, 2 * USAGE_HALF_LIFE)),
    ),
    max_size=40,
)
POLICIES = st.builds(
    QueuePolicy, weights=st.dictionaries(NAMES, st.floats(0.5, 4)), quotas=st.dictionaries(NAMES, st.integers(1, 9))
)


def all_shares(shares: FairShares) -> list[object]:
    sources = [shares.source_share(name, rank) for name in "abc" for rank in range(CLASSES)]
    requesters = [(priority.rank, name) for name in "abc" for priority in PRIORITIES]
    slots = [shares.slots(name) for name in "abc"]
    return [
        sources,
        slots,
        [
            shares.requester_share(s, requester, rank)
            for s in "abc"
            for requester in requesters
            for rank in range(CLASSES)
        ],
    ]


@given(STEPS, POLICIES, st.floats(1, 1e9), st.floats(0, 9 * USAGE_HALF_LIFE))
def test_shares_are_the_same_after_a_restart_and_stay_the_same(steps, policy, now, later) -> None:
    shares, active = FairShares(policy, now), {}
    for number, (verb, *about) in enumerate(steps):
        if verb == "start":
            source, requester, priority, aged = about
            active[f"j{number}"] = job = ActiveJob(f"j{number}", source, requester, priority, now)
            shares.start(job, max(0, priority.rank - aged))
        elif verb == "end" and active:
            job_id = sorted(active)[about[0] % len(active)]
            shares.end(job_id, now)
            del active[job_id]
        elif verb == "wait":
            now += about[0]
            shares.decay(now)
    restarted = FairShares(policy, 0.0)
    restarted.restore_usage(
        UsageSnapshot.model_validate(json.loads(shares.usage().model_dump_json(exclude_defaults=True)))
    )
    for job in active.values():
        restarted.start(job)
    assert all_shares(restarted) == all_shares(shares)
    assert restarted.usage() == shares.usage()
    assert not restarted.version, "no change has to be saved"
    for copy in (shares, restarted):
        copy.decay(now + later)
        for job_id in active:
            copy.end(job_id, now + later)
    assert all_shares(restarted) == all_shares(shares)


def test_usage_decays_while_the_scheduler_does_not_run() -> None:
    shares = FairShares(QueuePolicy(), 1000.0)
    shares.start(ActiveJob("j", "a", "r", Priority.NORMAL, 1000.0))
    shares.end("j", 1400.0)
    restarted = FairShares(QueuePolicy(), 0.0)
    restarted.restore_usage(shares.usage())
    assert restarted.source_share("a", 2).used == 400.0
    restarted.decay(1000.0 + 2 * USAGE_HALF_LIFE)
    assert restarted.source_share("a", 2).used == 100.0


def test_usage_that_was_saved_in_the_future_decays() -> None:
    shares = FairShares(QueuePolicy(), 0.0)
    shares.restore_usage(UsageSnapshot(at=1e12, sources=({"source": "a", "used": (8.0, 8.0, 8.0)},)))
    assert not shares.decay(1000.0)
    assert shares.decay(1000.0 + USAGE_HALF_LIFE)
    assert shares.source_share("a", 0).used == 4.0


def test_requesters_with_the_most_usage_are_kept_of_too_many() -> None:
    requesters = [
        RequesterUsage(source="s", rank=1, requester="x" * 900 + str(n), used=(0.0, 0.0, float(n))) for n in range(2000)
    ]
    kept = largest_that_fit(requesters)
    assert [requester.used[2] for requester in kept] == [float(n) for n in range(2000 - len(kept), 2000)]
    assert 300 < len(kept) < MAX_PART_BYTES / 900
    assert len(UsageSnapshot(requesters=kept).model_dump_json()) < 1.2 * MAX_PART_BYTES
