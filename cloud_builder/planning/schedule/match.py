"""Which waiting job goes to which runner: the order says which job, this page says where.

Looks at no more of the queue than there are free slots, and at no more runners than have one.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from cloud_builder.model.ids import JobId, RunnerId
from cloud_builder.planning.records import JobRecord

from .free_slots import MAX_CANDIDATES, FreeSlots, RunnerRequirements, requirements_of
from .locality import seconds_saved
from .queue import JobQueue, QueuedJob, QueueHead

__all__ = ["Assignment", "RunnerRequirements", "match", "queued_job", "requirements_of"]

RETRY_ELSEWHERE_WAIT = 60.0
"""Seconds that a retry waits for a runner that has not had it, when those have no slot free."""


@dataclass(frozen=True)
class Assignment:
    job_id: JobId
    runner_id: RunnerId


def queued_job(job: JobRecord) -> QueuedJob:
    """With which a job waits in the order."""
    return QueuedJob(
        job.job_id,
        requirements_of(job),
        job.source,
        job.requester,
        job.priority,
        job.queued_at,
        job.sequence,
        job.critical_path,
        job.number,
    )


def match(
    order: JobQueue,
    slots: FreeSlots,
    jobs: Mapping[JobId, JobRecord],
    now: float,
    may: Callable[[JobRecord, RunnerId], bool] | None = None,
) -> list[Assignment]:
    """Gives free slots to the jobs whose turn it is, on the runner where they are done first; a retry goes elsewhere if
    it can. `may` False: not there now; a job that may go nowhere lets others pass. What is given away is taken from
    `order` and `slots`."""
    order.advance_time(now)
    pools = [pool for pool in order.pools() if isinstance(pool, RunnerRequirements)]
    heads = [(head, 0, pool) for pool in pools for head in _next(order, slots, jobs, pool, now)]
    heapq.heapify(heads)
    assignments: list[Assignment] = []
    while heads:
        head, known, pool = heapq.heappop(heads)
        given = len(assignments)
        if known != given:  # what was given away meanwhile may have put it back
            found = next(_next(order, slots, jobs, pool, now), None)
            if found != head:
                if found is not None:
                    heapq.heappush(heads, (found, given, pool))
                continue
        runner_id = _choose(jobs[head.job_id], pool, slots, now, may)
        if runner_id is None:
            continue
        slots.take(runner_id)
        order.pop_to_slot(head.job_id, now)
        assignments.append(Assignment(head.job_id, runner_id))
        for after in _next(order, slots, jobs, pool, now):
            heapq.heappush(heads, (after, given + 1, pool))
    return assignments


def _next(
    order: JobQueue, slots: FreeSlots, jobs: Mapping[JobId, JobRecord], pool: RunnerRequirements, now: float
) -> Iterator[QueueHead]:
    """The next job of a pool, if there is room for it."""
    if slots.room(pool, anywhere=True):
        head = order.peek(pool)
        if head is not None and slots.room(pool, anywhere=_takes_any(jobs[head.job_id], now)):
            yield head


def _takes_any(job: JobRecord, now: float) -> bool:
    return bool(job.tried_runners) and now - job.not_before > RETRY_ELSEWHERE_WAIT


def _choose(
    job: JobRecord,
    pool: RunnerRequirements,
    slots: FreeSlots,
    now: float,
    may: Callable[[JobRecord, RunnerId], bool] | None,
) -> RunnerId | None:
    open_ones = islice(slots.open(pool, anywhere=_takes_any(job, now)), MAX_CANDIDATES)
    able = [one for one in open_ones if may is None or may(job, one.runner_id)]
    if len(able) < 2:
        return able[0].runner_id if able else None
    return min(able, key=lambda one: (-seconds_saved(job, one), -slots.free(one.runner_id), one.runner_id)).runner_id
