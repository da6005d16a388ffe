"""What was used lately outlives a restart: what is written down and read again is what it was."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.model.priority import Priority
from cloud_builder.planning.schedule.fair_share import FairShares
from cloud_builder.planning.schedule.queued_job import CLASSES, USAGE_HALF_LIFE, ActiveJob, QueuePolicy
from cloud_builder.planning.schedule.usage import MOST_BYTES, RequesterUsage, UsageSnapshot, largest_that_fit

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
RULES = st.builds(
    QueuePolicy, weights=st.dictionaries(NAMES, st.floats(0.5, 4)), quotas=st.dictionaries(NAMES, st.integers(1, 9))
)


def standings(shares: FairShares) -> list[object]:
    sources = [shares.source_share(name, rank) for name in "abc" for rank in range(CLASSES)]
    askers = [(one.rank, name) for name in "abc" for one in PRIORITIES]
    slots = [shares.slots(name) for name in "abc"]
    return [
        sources,
        slots,
        [shares.requester_share(s, asker, rank) for s in "abc" for asker in askers for rank in range(CLASSES)],
    ]


@given(STEPS, RULES, st.floats(1, 1e9), st.floats(0, 9 * USAGE_HALF_LIFE))
def test_shares_are_after_a_restart_what_they_were_and_go_on_so(steps, rules, now, later) -> None:
    shares, held = FairShares(rules, now), {}
    for number, (verb, *about) in enumerate(steps):
        if verb == "start":
            source, requester, priority, risen = about
            held[f"j{number}"] = one = ActiveJob(f"j{number}", source, requester, priority, now)
            shares.start(one, max(0, priority.rank - risen))
        elif verb == "end" and held:
            job_id = sorted(held)[about[0] % len(held)]
            shares.end(job_id, now)
            del held[job_id]
        elif verb == "wait":
            now += about[0]
            shares.decay(now)
    again = FairShares(rules, 0.0)
    again.recall(UsageSnapshot.model_validate(json.loads(shares.usage().model_dump_json(exclude_defaults=True))))
    for one in held.values():
        again.start(one)
    assert standings(again) == standings(shares)
    assert again.usage() == shares.usage()
    assert not again.version, "nothing that would have to be written down"
    for each in (shares, again):
        each.decay(now + later)
        for job_id in held:
            each.end(job_id, now + later)
    assert standings(again) == standings(shares)


def test_what_was_used_fades_while_nobody_is_there() -> None:
    shares = FairShares(QueuePolicy(), 1000.0)
    shares.start(ActiveJob("j", "a", "r", Priority.NORMAL, 1000.0))
    shares.end("j", 1400.0)
    again = FairShares(QueuePolicy(), 0.0)
    again.recall(shares.usage())
    assert again.source_share("a", 2).used == 400.0
    again.decay(1000.0 + 2 * USAGE_HALF_LIFE)
    assert again.source_share("a", 2).used == 100.0


def test_a_time_that_lies_ahead_stops_no_fading() -> None:
    shares = FairShares(QueuePolicy(), 0.0)
    shares.recall(UsageSnapshot(at=1e12, sources=({"source": "a", "used": (8.0, 8.0, 8.0)},)))
    assert not shares.decay(1000.0)
    assert shares.decay(1000.0 + USAGE_HALF_LIFE)
    assert shares.source_share("a", 0).used == 4.0


def test_of_very_many_those_are_kept_who_used_most() -> None:
    askers = [
        RequesterUsage(source="s", rank=1, requester="x" * 900 + str(n), used=(0.0, 0.0, float(n))) for n in range(2000)
    ]
    kept = largest_that_fit(askers)
    assert [one.used[2] for one in kept] == [float(n) for n in range(2000 - len(kept), 2000)]
    assert 300 < len(kept) < MOST_BYTES / 900
    assert len(UsageSnapshot(askers=kept).model_dump_json()) < 1.2 * MOST_BYTES
