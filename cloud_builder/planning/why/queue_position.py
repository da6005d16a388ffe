"""Who gets a slot before a job, and why: the scheduler's own order (planning/schedule/queue.py), played forward.

What is played forward is the read model, which may be a moment behind; what was used lately, and so decides between
equal shares, is not in it. So this tells what will most likely happen, and the rule it will happen by.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cloud_builder.model.ids import JobId
from cloud_builder.model.text import duration
from cloud_builder.planning.schedule.queue import ActiveJob, JobQueue, QueuedJob, QueuePolicy, restored

from .facts import FactSource, JobFacts, RunnerFacts

MAX_JOBS_AHEAD = 2000
_POOL = "the runners that could take it"


@dataclass(frozen=True)
class Ahead:
    """A job that goes first, and the rule that says so."""

    job: JobFacts
    why: str


@dataclass(frozen=True)
class QueuePosition:
    """What stands before a job. `quota`: name of the source or requester whose quota keeps it from its turn."""

    ahead: tuple[Ahead, ...] = ()
    quota: str = ""
    allowed: int = 0
    is_whole: bool = True


def queue_position(
    job: JobFacts, rivals: Sequence[JobFacts], held: Iterable[JobFacts], known: FactSource, now: float
) -> QueuePosition:
    """`rivals`: the other jobs that wait for the same runners; `held`: those that have slots."""
    rules = known.rules()
    jobs = {one.job_id: one for one in (*rivals, job)}
    tickets = {one.job_id: _ticket(one, known) for one in jobs.values()}
    order = restored(rules, tickets.values(), [_held(one, known, now) for one in held], now)
    order.advance_time(now)
    first: list[tuple[JobId, int]] = []
    own_rank = job.priority.rank
    while (head := order.peek(_POOL)) is not None and len(first) < MAX_JOBS_AHEAD:
        if head.job_id == job.job_id:
            own_rank = head.rank
            break
        first.append((head.job_id, head.rank))
        order.pop_to_slot(head.job_id, now)
    ticket = tickets[job.job_id]
    ahead = [Ahead(jobs[one], _why(tickets[one], ticket, (rank, own_rank), now)) for one, rank in first]
    quota = _full(ticket, order, rules) if head is None else ""
    return QueuePosition(tuple(ahead), quota, rules.quotas.get(quota, 0), is_whole=len(ahead) < MAX_JOBS_AHEAD)


def _ticket(job: JobFacts, known: FactSource) -> QueuedJob:
    request = known.request(job.request_id)
    requester, sequence = (request.requester, request.accepted_at) if request else ("", job.first_at)
    return QueuedJob(
        job.job_id,
        _POOL,
        job.source,
        requester,
        job.priority,
        job.since,
        sequence,
        job.critical_path,
        _number(job.job_id),
    )


def _held(job: JobFacts, known: FactSource, now: float) -> ActiveJob:
    request = known.request(job.request_id)
    return ActiveJob(job.job_id, job.source, request.requester if request else "", job.priority, job.started_at or now)


def _number(job_id: JobId) -> int:
    """Its place in the request (model.ids.job_id)."""
    last = job_id.rpartition(".")[2]
    return int(last) if last.isdecimal() else 0


def _why(first: QueuedJob, job: QueuedJob, ranks: tuple[int, int], now: float) -> str:
    """The first rule by which the other one goes first. `ranks`: the classes that the two count as by now."""
    if ranks[0] < ranks[1]:
        waited = f", after waiting {duration(now - first.since)}" if ranks[0] < first.priority.rank else ""
        return f"priority {first.priority.value}{waited}"
    if first.source != job.source:
        return f"fair share: source {first.source} has had less than {job.source}"
    if (first.priority, first.requester) != (job.priority, job.requester):
        return f"fair share: {first.requester or 'pushes'} has had less than {job.requester or 'pushes'}"
    if first.sequence != job.sequence:
        return "older request"
    if first.critical_path != job.critical_path:
        return f"longer way to the end ({duration(first.critical_path)})"
    return "earlier in the same request"


def _full(ticket: QueuedJob, order: JobQueue, rules: QueuePolicy) -> str:
    names = (ticket.source, ticket.requester)
    return next(
        (name for name in names if name in rules.quotas and order.jobs_in_slots(name) >= rules.quotas[name]), ""
    )


def start_of(ends: Sequence[float], before: Iterable[float], now: float) -> float:
    """When a slot is there for the next job: `ends` of what the slots do now (now: free), `before`: how long each job
    takes that goes first. 0: cannot be told, because something in it never ran before (inf)."""
    slots = [max(end, now) for end in ends]
    heapq.heapify(slots)
    for seconds in before:
        if not slots:
            return 0.0
        heapq.heapreplace(slots, slots[0] + seconds)
    return slots[0] if slots and math.isfinite(slots[0]) else 0.0


def expected_seconds(job: JobFacts, known: FactSource) -> float:
    """How long a job takes, from its last time; inf: it was never built."""
    if job.expected_seconds:
        return job.expected_seconds
    last = known.last_good(job)
    return last.seconds if last and last.seconds else math.inf


def expected_end(job: JobFacts | None, known: FactSource, now: float) -> float:
    """When what runs will have ended; inf: cannot be told."""
    if job is None:
        return math.inf
    return max(now, (job.started_at or now) + expected_seconds(job, known))


def slots_of(runners: Sequence[RunnerFacts], known: FactSource, now: float) -> list[float]:
    """When each slot of these runners is free; now for those that are."""
    ends: list[float] = []
    for runner in runners:
        slots = runner.usable(now)
        busy = [expected_end(known.job(held.job_id), known, now) for held in runner.attempts[:slots]]
        ends += busy + [now] * (slots - len(busy))
    return ends
