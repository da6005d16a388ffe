"""The jobs that get a slot before a job, and by which rule: the scheduler's own queue (planning/schedule/queue.py),
played forward.

The queue is made from the read model, which may be a moment behind, and which has no recent usage. So an answer is
what will most likely happen, and the rule that it follows.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cloud_builder.model.ids import JobId, job_number
from cloud_builder.model.text import duration
from cloud_builder.planning.schedule.queue import ActiveJob, JobQueue, QueuedJob, QueuePolicy, restored

from .facts import FactSource, JobFacts, RunnerFacts

MAX_JOBS_AHEAD = 2000
_REQUIREMENTS = "the runners that could take it"
"""All jobs that are compared get the same requirements: they wait for the same runners."""


@dataclass(frozen=True)
class Ahead:
    """A job that goes first, and the rule by which it does."""

    job: JobFacts
    why: str


@dataclass(frozen=True)
class QueuePosition:
    """The jobs that go before a job.

    `quota`: the source or requester whose full quota keeps the job from its turn; `allowed`: the slots of that quota.
    `is_whole`: False if only the first MAX_JOBS_AHEAD jobs are listed.
    """

    ahead: tuple[Ahead, ...] = ()
    quota: str = ""
    allowed: int = 0
    is_whole: bool = True


def queue_position(
    job: JobFacts, rivals: Sequence[JobFacts], active: Iterable[JobFacts], facts: FactSource, now: float
) -> QueuePosition:
    """Returns the jobs that go first. `rivals`: the other jobs that wait for the same runners; `active`: jobs with a
    slot."""
    policy = facts.queue_policy()
    jobs = {other.job_id: other for other in (*rivals, job)}
    entries = {other.job_id: _queue_entry(other, facts) for other in jobs.values()}
    queue = restored(policy, entries.values(), [_active_job(other, facts, now) for other in active], now)
    queue.advance_time(now)
    first: list[tuple[JobId, int]] = []
    own_rank = job.priority.rank
    while (head := queue.peek(_REQUIREMENTS)) is not None and len(first) < MAX_JOBS_AHEAD:
        if head.job_id == job.job_id:
            own_rank = head.rank
            break
        first.append((head.job_id, head.rank))
        queue.pop_to_slot(head.job_id, now)
    entry = entries[job.job_id]
    ahead = [Ahead(jobs[job_id], _rule(entries[job_id], entry, (rank, own_rank), now)) for job_id, rank in first]
    quota = _full_quota(entry, queue, policy) if head is None else ""
    return QueuePosition(tuple(ahead), quota, policy.quotas.get(quota, 0), is_whole=len(ahead) < MAX_JOBS_AHEAD)


def _queue_entry(job: JobFacts, facts: FactSource) -> QueuedJob:
    request = facts.request(job.request_id)
    requester, sequence = (request.requester, request.accepted_at) if request else ("", job.first_at)
    return QueuedJob(
        job.job_id,
        _REQUIREMENTS,
        job.source,
        requester,
        job.priority,
        job.since,
        sequence,
        job.critical_path,
        job_number(job.job_id),
    )


def _active_job(job: JobFacts, facts: FactSource, now: float) -> ActiveJob:
    request = facts.request(job.request_id)
    return ActiveJob(job.job_id, job.source, request.requester if request else "", job.priority, job.started_at or now)


def _rule(first: QueuedJob, job: QueuedJob, ranks: tuple[int, int], now: float) -> str:
    """Returns the first rule by which `first` goes before `job`. `ranks`: the classes that the two count as now."""
    if ranks[0] < ranks[1]:
        waited = f", after waiting {duration(now - first.since)}" if ranks[0] < first.priority.rank else ""
        return f"priority {first.priority.value}{waited}"
    if first.source != job.source:
        return f"fair share: source {first.source} has used less than {job.source}"
    if (first.priority, first.requester) != (job.priority, job.requester):
        return f"fair share: {first.requester or 'pushes'} has used less than {job.requester or 'pushes'}"
    if first.sequence != job.sequence:
        return "older request"
    if first.critical_path != job.critical_path:
        return f"longer critical path ({duration(first.critical_path)})"
    return "earlier in the same request"


def _full_quota(entry: QueuedJob, queue: JobQueue, policy: QueuePolicy) -> str:
    with_quota = (name for name in (entry.source, entry.requester) if name in policy.quotas)
    return next((name for name in with_quota if queue.jobs_in_slots(name) >= policy.quotas[name]), "")


def start_of(ends: Sequence[float], before: Iterable[float], now: float) -> float:
    """Returns when there is a slot for the next job; 0 if that is not known.

    `ends`: when each slot is free (now, if it is free already).
    `before`: the duration of each job that goes first; inf: it was never built, so its end is not known.
    """
    slots = [max(end, now) for end in ends]
    heapq.heapify(slots)
    for seconds in before:
        if not slots:
            return 0.0
        heapq.heapreplace(slots, slots[0] + seconds)
    return slots[0] if slots and math.isfinite(slots[0]) else 0.0


def expected_seconds(job: JobFacts, facts: FactSource) -> float:
    """Returns how long a job takes, by its last build; inf: it was never built."""
    if job.expected_seconds:
        return job.expected_seconds
    last = facts.last_success(job)
    return last.seconds if last and last.seconds else math.inf


def expected_end(job: JobFacts | None, facts: FactSource, now: float) -> float:
    """Returns when a running job will have ended; inf: not known."""
    if job is None:
        return math.inf
    return max(now, (job.started_at or now) + expected_seconds(job, facts))


def slots_of(runners: Sequence[RunnerFacts], facts: FactSource, now: float) -> list[float]:
    """Returns when each slot of these runners is free; now, if it is free already."""
    ends: list[float] = []
    for runner in runners:
        slots = runner.usable(now)
        busy = [expected_end(facts.job(attempt.job_id), facts, now) for attempt in runner.attempts[:slots]]
        ends += busy + [now] * (slots - len(busy))
    return ends
