"""Shared-queue dispatch: which jobs may be offered to all runners of a pool, and which claim is granted.

Input: jobs, runners, claims. Output: decisions.

    queued ─► offered ─► claimed by a runner ─► granted: the same as assigned
                │                            └► refused
                └─► not claimed within a lease: queued again

An offer takes up a free slot like an assignment: a slot of the runner that the job would have been assigned to.
Therefore there are never more offers than free slots. Fencing is by the attempt's number, as everywhere: an offer is
for the next attempt, and the first valid claim ends the offer.

These jobs are assigned directly instead (`may_be_offered`): a retry, which goes to another runner; a job whose
constraints not every runner of the pool meets; a job whose pool has a runner that takes no offers; a job that was
offered MAX_OFFERS times without a claim.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from cloud_builder.model.capacity import NOTHING
from cloud_builder.model.events import AttemptClaimed, Hold, HoldKind
from cloud_builder.model.ids import JobId, RunnerId
from cloud_builder.model.outcome import JobState
from cloud_builder.planning.attempt import transitions
from cloud_builder.planning.records import JobRecord, RunnerRecord

MAX_OFFERS = 3
"""How often a job is offered; after that it is assigned directly."""
REPORT_AFTER = 2.0
"""Seconds in which most offers are claimed: only an offer that is open for longer is reported."""
REFUSAL_PAUSE = 1.0
"""Seconds that a runner takes no offers after a claim that was refused because of the runner."""


class ClaimRefusal(NamedTuple):
    """Why a claim is not granted.

    `pause`: seconds that the runner should take no offers. If it is above 0, the runner is the reason, and the job has
    to be offered again."""

    reason: str
    pause: float = 0.0


def queue_of(job: JobRecord) -> str:
    return _queue(job.target.arch, job.target.runner_group)


def queues_of(arch: str, group: str) -> tuple[str, ...]:
    """Returns the queues that a runner takes offers from: the one for every runner, and its group's."""
    return tuple(dict.fromkeys(_queue(arch, name) for name in ("", group)))


def _queue(arch: str, group: str) -> str:
    """Returns the name of a queue, below `cb.queue.`. An architecture has no dot in its name."""
    return f"{arch}.{group}" if group else arch


class QueueReaders:
    """All live runners, by the queue that they take offers from. Each queue is computed once."""

    def __init__(self, runners: Collection[RunnerRecord]) -> None:
        self._runners = runners
        self._by_queue: dict[str, list[RunnerRecord]] = {}

    def of(self, job: JobRecord) -> list[RunnerRecord]:
        """Returns every runner that could claim an offer of the job; none if a runner of its pool takes no offers."""
        queue = queue_of(job)
        if queue not in self._by_queue:
            pool = [runner for runner in self._runners if _is_in_pool(runner, job)]
            self._by_queue[queue] = pool if all(queue in runner.queues for runner in pool) else []
        return self._by_queue[queue]


def may_be_offered(job: JobRecord, readers: QueueReaders) -> bool:
    """True if every runner that could claim the offer may have the job."""
    if job.tried_runners or job.offer_count >= MAX_OFFERS:
        return False
    runners, required = readers.of(job), job.constraints
    return bool(runners) and (required == NOTHING or not any(runner.capacity.lacks(required) for runner in runners))


def mark_offered(job: JobRecord, runner_id: RunnerId, now: float) -> JobRecord:
    """Returns the job as offered; the offer takes up a slot of that runner."""
    update = {
        "state": JobState.OFFERED,
        "offered_to": runner_id,
        "assigned_at": now,
        "offer_count": job.offer_count + 1,
    }
    return job.model_copy(update=update)


def grant(job: JobRecord, claim: AttemptClaimed, now: float) -> JobRecord:
    """Returns the job as assigned to the runner that claimed it."""
    job = transitions.assign(job, claim.runner_id, claim.runner_started_at, now)
    return job.model_copy(update={"offered_to": None})


def withdraw(job: JobRecord) -> JobRecord:
    """Returns the job as queued again. A later claim of the offer is refused, unless the job is offered again first."""
    return job.model_copy(update={"state": JobState.QUEUED, "offered_to": None})


def has_expired(job: JobRecord, now: float, lease: float) -> bool:
    """True if an offer was not claimed within a lease, or dates from the future because the clock was ahead."""
    return job.state is JobState.OFFERED and not 0 <= now - job.assigned_at <= lease


def is_unclaimed(job: JobRecord, now: float) -> bool:
    """True if the open offer should be reported: it was not claimed within `REPORT_AFTER` seconds, or an earlier offer
    of this job expired unclaimed."""
    return job.offer_count > 1 or now - job.assigned_at > REPORT_AFTER


def offer_hold(job: JobRecord, lease: float) -> Hold:
    """Returns the hold of an offered job, for its `job.queued`."""
    at, queue = job.assigned_at, queue_of(job)
    return Hold(
        kind=HoldKind.OFFERED, since=at, until=at + lease, queue=queue, offers=job.offer_count, max_offers=MAX_OFFERS
    )


def reserved(runners: Mapping[RunnerId, RunnerRecord], offered: Iterable[JobRecord]) -> dict[RunnerId, RunnerRecord]:
    """Returns the runners without the slots that open offers take up.

    An offer takes up a slot of the runner that it was counted for. If that runner is full by now, because it claimed
    another offer, the offer takes up a slot of another runner of the pool."""
    free = {runner_id: runner.free for runner_id, runner in runners.items()}
    kept: dict[RunnerId, set[tuple[JobId, int]]] = defaultdict(set)
    without_slot = []
    for job in offered:
        if job.offered_to is not None and free.get(job.offered_to, 0) > 0:
            free[job.offered_to] -= 1
            kept[job.offered_to].add((job.job_id, job.attempt + 1))
        else:
            without_slot.append(job)
    for job, runner_id in _reallocate(without_slot, runners, free):
        kept[runner_id].add((job.job_id, job.attempt + 1))
    with_offers = {
        runner_id: runners[runner_id].model_copy(update={"attempts": runners[runner_id].attempts | offers})
        for runner_id, offers in kept.items()
    }
    return {**runners, **with_offers}


def _reallocate(
    jobs: list[JobRecord], runners: Mapping[RunnerId, RunnerRecord], free: dict[RunnerId, int]
) -> Iterator[tuple[JobRecord, RunnerId]]:
    for job in jobs:
        candidates = (runner_id for runner_id, slots in free.items() if slots > 0)
        runner_id = next((candidate for candidate in candidates if _is_in_pool(runners[candidate], job)), None)
        if runner_id is not None:
            free[runner_id] -= 1
            yield job, runner_id


def check_claim(job: JobRecord | None, claim: AttemptClaimed, runner: RunnerRecord | None) -> ClaimRefusal | None:
    """Returns why a claim is refused; None: it is granted.

    `runner`: with the slots that may be used now; None: it is unknown, or gets no work."""
    if job is None or job.is_finished:
        return ClaimRefusal("the job has finished")
    if job.state is not JobState.OFFERED or job.attempt + 1 != claim.attempt:
        return ClaimRefusal(f"{job.runner_id} has the job" if job.is_assigned else "the offer is no longer open")
    if runner is None or runner.started_at != claim.runner_started_at:
        return ClaimRefusal("this runner gets no work now", REFUSAL_PAUSE)
    if not _is_in_pool(runner, job) or runner.capacity.lacks(job.constraints):
        return ClaimRefusal("this runner does not meet the job's requirements", REFUSAL_PAUSE)
    if runner.free <= 0:
        return ClaimRefusal("this runner has no free slot", REFUSAL_PAUSE)
    return None


def _is_in_pool(runner: RunnerRecord, job: JobRecord) -> bool:
    """True if the runner takes offers from the job's queue: architecture and group fit. Constraints are not checked."""
    return runner.arch == job.target.arch and job.target.runner_group in ("", runner.runner_group)


def was_granted(job: JobRecord | None, claim: AttemptClaimed) -> bool:
    """True if this claim was granted before, and is only read again."""
    if job is None or claim.runner_id not in job.tried_runners or claim.attempt > job.attempt:
        return False
    return claim.attempt < job.attempt or claim.runner_started_at == job.runner_incarnation


def is_stale(claim: AttemptClaimed, now: float, lease: float) -> bool:
    """True if the runner no longer waits for an answer, or its clock differs from this one by more than a lease."""
    return not -lease <= now - claim.at <= lease
