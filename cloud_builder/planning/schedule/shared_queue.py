"""Shared-queue dispatch: which jobs may be offered to a whole pool of runners, and which claim is granted.

In come jobs, runners and claims; out go decisions. An offer takes up a free slot like an assignment, that of the runner
which the job would have been assigned to, so that there are never more offers than free slots. Fencing is by the number
of the attempt, as everywhere: an offer is for the attempt that comes next, and the first valid claim ends it.

What needs a place of its own stays directed: a retry (it goes elsewhere), constraints that not every runner of the pool
meets, a pool with a runner that takes no offers, an offer that nobody took in time MOST_OFFERS times.
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

MOST_OFFERS = 3
REPORT_AFTER = 2.0
"""Seconds in which offers are taken, as a rule: only of those that are not is anybody told."""
REFUSAL_PAUSE = 1.0
"""Seconds that a runner leaves the queue alone when it is the reason why its claim was refused."""


class ClaimRefusal(NamedTuple):
    """Why a claim is not granted. `pause`: seconds that the runner should take no offers; above 0 the reason is the
    runner, and the job is to be offered again."""

    reason: str
    pause: float = 0.0


def queue_of(job: JobRecord) -> str:
    return _queue(job.target.arch, job.target.runner_group)


def queues_of(arch: str, group: str) -> tuple[str, ...]:
    """From which a runner takes offers: those to any runner, and those to its group."""
    return tuple(dict.fromkeys(_queue(arch, name) for name in ("", group)))


def _queue(arch: str, group: str) -> str:
    """The name of a queue, below `cb.queue.`; an architecture has no dot in it."""
    return f"{arch}.{group}" if group else arch


class QueueReaders:
    """All live runners, by the queue that an offer to them goes to. Each queue is looked at once."""

    def __init__(self, runners: Collection[RunnerRecord]) -> None:
        self._runners = runners
        self._by_queue: dict[str, list[RunnerRecord]] = {}

    def of(self, job: JobRecord) -> list[RunnerRecord]:
        """Every runner that could come by an offer of the job; none, when one of its pool takes no offers."""
        queue = queue_of(job)
        if queue not in self._by_queue:
            found = [runner for runner in self._runners if _is_of_pool(runner, job)]
            self._by_queue[queue] = found if all(queue in runner.queues for runner in found) else []
        return self._by_queue[queue]


def may_be_offered(job: JobRecord, takers: QueueReaders) -> bool:
    """Whether any runner that could come by the offer may have it."""
    if job.tried_runners or job.offer_count >= MOST_OFFERS:
        return False
    able, asked = takers.of(job), job.constraints
    return bool(able) and (asked == NOTHING or not any(runner.capacity.lacks(asked) for runner in able))


def mark_offered(job: JobRecord, runner_id: RunnerId, now: float) -> JobRecord:
    """The job while it is offered, at the cost of a slot of that runner."""
    update = {
        "state": JobState.OFFERED,
        "offered_to": runner_id,
        "assigned_at": now,
        "offer_count": job.offer_count + 1,
    }
    return job.model_copy(update=update)


def grant(job: JobRecord, claim: AttemptClaimed, now: float) -> JobRecord:
    """The attempt that was offered is the claimant's, as if it had been assigned to it."""
    job = transitions.assign(job, claim.runner_id, claim.runner_started_at, now)
    return job.model_copy(update={"offered_to": None})


def withdraw(job: JobRecord) -> JobRecord:
    """Back into the queue. Who takes the offer later is refused, unless it was made again by then."""
    return job.model_copy(update={"state": JobState.QUEUED, "offered_to": None})


def has_expired(job: JobRecord, now: float, lease: float) -> bool:
    """Nobody claimed it within a lease; an offer from the future was made while the clock was ahead."""
    return job.state is JobState.OFFERED and not 0 <= now - job.assigned_at <= lease


def is_unclaimed(job: JobRecord, now: float) -> bool:
    """Nobody takes the offer at once: that it is open is worth telling. Nobody took the one before: so is this one."""
    return job.offer_count > 1 or now - job.assigned_at > REPORT_AFTER


def offer_hold(job: JobRecord, lease: float) -> Hold:
    """What keeps an offered job."""
    at, queue = job.assigned_at, queue_of(job)
    return Hold(
        kind=HoldKind.OFFERED, since=at, until=at + lease, queue=queue, offers=job.offer_count, max_offers=MOST_OFFERS
    )


def reserved(runners: Mapping[RunnerId, RunnerRecord], offered: Iterable[JobRecord]) -> dict[RunnerId, RunnerRecord]:
    """The runners, without the slots that open offers stand for: each takes up one of the runner it was counted for,
    and of another that could take it when that one is full by now, because it took a different offer."""
    free = {runner_id: runner.free for runner_id, runner in runners.items()}
    kept: dict[RunnerId, set[tuple[JobId, int]]] = defaultdict(set)
    homeless = []
    for job in offered:
        if job.offered_to is not None and free.get(job.offered_to, 0) > 0:
            free[job.offered_to] -= 1
            kept[job.offered_to].add((job.job_id, job.attempt + 1))
        else:
            homeless.append(job)
    for job, runner_id in _reallocate(homeless, runners, free):
        kept[runner_id].add((job.job_id, job.attempt + 1))
    taken = {
        runner_id: runners[runner_id].model_copy(update={"attempts": runners[runner_id].attempts | offers})
        for runner_id, offers in kept.items()
    }
    return {**runners, **taken}


def _reallocate(
    homeless: list[JobRecord], runners: Mapping[RunnerId, RunnerRecord], free: dict[RunnerId, int]
) -> Iterator[tuple[JobRecord, RunnerId]]:
    for job in homeless:
        found = (each for each, room in free.items() if room > 0 and _is_of_pool(runners[each], job))
        runner_id = next(found, None)
        if runner_id is not None:
            free[runner_id] -= 1
            yield job, runner_id


def check_claim(job: JobRecord | None, claim: AttemptClaimed, runner: RunnerRecord | None) -> ClaimRefusal | None:
    """None: granted. `runner`: with the slots that may be used now; None: it is not known, or gets no work."""
    if job is None or job.is_finished:
        return ClaimRefusal("the job is over")
    if job.state is not JobState.OFFERED or job.attempt + 1 != claim.attempt:
        return ClaimRefusal(f"{job.runner_id} has it" if job.is_assigned else "it is not offered any more")
    if runner is None or runner.started_at != claim.runner_started_at:
        return ClaimRefusal("this runner gets no work now", REFUSAL_PAUSE)
    if not _is_of_pool(runner, job) or runner.capacity.lacks(job.constraints):
        return ClaimRefusal("it is for other runners", REFUSAL_PAUSE)
    if runner.free <= 0:
        return ClaimRefusal("this runner has no free slot", REFUSAL_PAUSE)
    return None


def _is_of_pool(runner: RunnerRecord, job: JobRecord) -> bool:
    """Whether the job's queue is one of the runner's: whatever it asks for beside architecture and group."""
    return runner.arch == job.target.arch and job.target.runner_group in ("", runner.runner_group)


def was_granted(job: JobRecord | None, claim: AttemptClaimed) -> bool:
    """This very claim was granted before: it is read again."""
    if job is None or claim.runner_id not in job.tried_runners or claim.attempt > job.attempt:
        return False
    return claim.attempt < job.attempt or claim.runner_started_at == job.runner_incarnation


def is_stale(claim: AttemptClaimed, now: float, lease: float) -> bool:
    """The runner has given up waiting for an answer, or its clock is so wrong that we cannot tell."""
    return not -lease <= now - claim.at <= lease
