"""Assigns queued jobs to runners: the queue says which job is next, this module says on which runner.

Reads no more queued jobs than there are free slots, and no more runners than have one.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from cloud_builder.model.ids import JobId, RunnerId
from cloud_builder.planning.records import JobRecord, RunnerRecord

from .free_slots import MAX_CANDIDATES, FreeSlots, RunnerRequirements, requirements_of
from .locality import seconds_saved
from .queue import JobQueue, QueuedJob, QueueHead

__all__ = ["Assignment", "RunnerRequirements", "match", "queued_job", "requirements_of"]

RETRY_ELSEWHERE_WAIT = 60.0
"""Seconds that a retry waits for a runner that has not had the job, while those have no free slot."""


@dataclass(frozen=True)
class Assignment:
    """A job, and the runner whose free slot it gets."""

    job_id: JobId
    runner_id: RunnerId


def queued_job(job: JobRecord) -> QueuedJob:
    """Returns the queue entry of a job."""
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
    queue: JobQueue,
    slots: FreeSlots,
    jobs: Mapping[JobId, JobRecord],
    now: float,
    may: Callable[[JobRecord, RunnerId], bool] | None = None,
) -> list[Assignment]:
    """Gives the free slots to the jobs that are next, each on the runner where it finishes first.

    A retry goes to a runner that has not had the job, if there is one. `may` returns False if a job must not go to a
    runner now; a job that may go to no runner is passed over. Assigned jobs and slots are taken from `queue` and
    `slots`."""
    queue.advance_time(now)
    requirements = [required for required in queue.requirements() if isinstance(required, RunnerRequirements)]
    heads = [(head, 0, required) for required in requirements for head in _next(queue, slots, jobs, required, now)]
    heapq.heapify(heads)
    assignments: list[Assignment] = []
    while heads:
        head, assigned_before, required = heapq.heappop(heads)
        assigned = len(assignments)
        if assigned_before != assigned:  # the assignments since then may have given other jobs a smaller share
            current = next(_next(queue, slots, jobs, required, now), None)
            if current != head:
                if current is not None:
                    heapq.heappush(heads, (current, assigned, required))
                continue
        runner_id = _choose(jobs[head.job_id], required, slots, now, may)
        if runner_id is None:
            continue
        slots.take(runner_id)
        queue.pop_to_slot(head.job_id, now)
        assignments.append(Assignment(head.job_id, runner_id))
        for following in _next(queue, slots, jobs, required, now):
            heapq.heappush(heads, (following, assigned + 1, required))
    return assignments


def _next(
    queue: JobQueue, slots: FreeSlots, jobs: Mapping[JobId, JobRecord], required: RunnerRequirements, now: float
) -> Iterator[QueueHead]:
    """Returns the next job with these requirements, if there is a free slot for it."""
    if slots.count_free(required, anywhere=True):
        head = queue.peek(required)
        if head is not None and slots.count_free(required, anywhere=_takes_any(jobs[head.job_id], now)):
            yield head


def _takes_any(job: JobRecord, now: float) -> bool:
    return bool(job.tried_runners) and now - job.not_before > RETRY_ELSEWHERE_WAIT


def _choose(
    job: JobRecord,
    required: RunnerRequirements,
    slots: FreeSlots,
    now: float,
    may: Callable[[JobRecord, RunnerId], bool] | None,
) -> RunnerId | None:
    """Returns the runner where the job finishes first; among equals the one with the most free slots; None: none."""
    candidates = islice(slots.runners_with_free(required, anywhere=_takes_any(job, now)), MAX_CANDIDATES)
    allowed = [runner for runner in candidates if may is None or may(job, runner.runner_id)]
    if len(allowed) < 2:
        return allowed[0].runner_id if allowed else None

    def preference(runner: RunnerRecord) -> tuple[float, int, RunnerId]:
        return (-seconds_saved(job, runner), -slots.free(runner.runner_id), runner.runner_id)

    return min(allowed, key=preference).runner_id
