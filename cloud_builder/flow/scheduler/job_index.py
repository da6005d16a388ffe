"""The open jobs in memory, and the indexes over them that scheduling reads.

Input: every record of an open job, when it is created, changed or removed. Output: lookups, and what happened since
the last look (newly queued jobs, finished jobs). Must not: write documents; `SchedulerState` does both together.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Set

from cloud_builder.model.ids import InputKey, JobId, RunnerId
from cloud_builder.model.outcome import JobState
from cloud_builder.planning.attempt.transitions import MAX_BACKOFF
from cloud_builder.planning.records import JobRecord
from cloud_builder.planning.schedule.free_slots import RunnerRequirements, requirements_of
from cloud_builder.planning.schedule.match import queued_job
from cloud_builder.planning.schedule.queue import ActiveJob, JobQueue, QueuePolicy


class JobIndex:
    """The open jobs by id, and what is derived from them.

    by_id               all jobs of open requests, finished ones included
    active_by_key       input key → the open job that builds it; later jobs with the same key are its duplicates
    waiting_dependents  job → blocked jobs that wait for it, as a need or as their duplicate
    suspects            runner → jobs that may have caused its loss, while the loss is not confirmed
    queue               jobs that could start, in the order in which they get slots
    """

    def __init__(self, policy: QueuePolicy) -> None:
        self._by_id: dict[JobId, JobRecord] = {}
        self._active_by_key: dict[InputKey, JobId] = {}
        self._waiting_dependents: dict[JobId, set[JobId]] = defaultdict(set)
        self._suspects: dict[RunnerId, set[JobId]] = defaultdict(set)
        self.by_id: Mapping[JobId, JobRecord] = self._by_id
        self.active_by_key: Mapping[InputKey, JobId] = self._active_by_key
        self.waiting_dependents: Mapping[JobId, Set[JobId]] = self._waiting_dependents
        self.suspects: Mapping[RunnerId, Set[JobId]] = self._suspects
        self.queue = JobQueue(policy)
        self._newly_queued: list[JobId] = []
        self._delayed: list[tuple[float, JobId]] = []
        """A heap of retries by the time before which they must not start."""
        self._open_offers: dict[JobId, bool] = {}
        """Jobs offered on shared queues, the oldest offer first, and whether the offer was reported as unclaimed."""
        self._finished: deque[JobId] = deque()
        """Finished jobs whose dependents were not looked at yet."""

    # --- changes --------------------------------------------------------------------------------------------------

    def add(self, job: JobRecord) -> None:
        self._by_id[job.job_id] = job
        self._enter(job)

    def replace(self, before: JobRecord, job: JobRecord, now: float) -> None:
        self._leave(before)
        self._by_id[job.job_id] = job
        self._enter(job)
        if not job.takes_slot:  # Also releases a job that was matched with a slot and then not dispatched.
            self.queue.release(job.job_id, now)

    def mark_started(self, job: JobRecord) -> None:
        """Stores that the job is running; no index depends on that."""
        self._by_id[job.job_id] = job

    def remove(self, job_ids: Iterable[JobId]) -> None:
        """Removes the jobs of a request that has finished."""
        for job_id in job_ids:
            self._by_id.pop(job_id, None)
            self._waiting_dependents.pop(job_id, None)

    def release_delayed(self, now: float) -> None:
        """Queues the retries whose delay is over. Also queues a retry that is delayed for longer than any retry can be:
        the clock was ahead when its time was stored."""
        while self._delayed and not now < self._delayed[0][0] <= now + MAX_BACKOFF:
            _, job_id = heapq.heappop(self._delayed)
            job = self._by_id.get(job_id)
            if job is not None and job.state is JobState.QUEUED and not now < job.not_before <= now + MAX_BACKOFF:
                self._enqueue(job)

    def mark_offer_reported(self, job_id: JobId) -> None:
        self._open_offers[job_id] = True

    def push_finished(self, job_id: JobId) -> None:
        """Remembers a finished job until its dependents are looked at (`pop_unblocked`)."""
        self._finished.append(job_id)

    def pop_unblocked(self) -> Iterator[JobRecord]:
        """Yields the blocked jobs that waited for a finished job, until no finished job is left. The caller may finish
        further jobs meanwhile."""
        while self._finished:
            for job_id in sorted(self._waiting_dependents.get(self._finished.popleft(), ())):
                job = self._by_id[job_id]
                if job.state is JobState.BLOCKED:
                    yield job

    def pop_newly_queued(self) -> list[JobId]:
        """Returns the jobs that were queued since the last call."""
        newly_queued, self._newly_queued = self._newly_queued, []
        return newly_queued

    def pop_suspects(self, runner_id: RunnerId) -> Set[JobId]:
        return self._suspects.pop(runner_id, frozenset())

    # --- lookups --------------------------------------------------------------------------------------------------

    def needs_of(self, job: JobRecord) -> list[JobRecord]:
        return [self._by_id[job_id] for job_id in job.needs]

    def offered(self) -> list[JobRecord]:
        """Returns the jobs with an open offer, the oldest offer first."""
        return [self._by_id[job_id] for job_id in self._open_offers]

    def is_offer_reported(self, job_id: JobId) -> bool:
        return self._open_offers[job_id]

    def queued_requirements(self) -> list[RunnerRequirements]:
        """Returns the different requirements of all queued jobs."""
        return [required for required in self.queue.requirements() if isinstance(required, RunnerRequirements)]

    def requirements_of(self, job_id: JobId) -> RunnerRequirements:
        return requirements_of(self._by_id[job_id])

    def queued_with(self, requirements: RunnerRequirements) -> list[JobId]:
        return [job.job_id for job in self.queue.jobs() if job.requirements == requirements]

    # --- indexes --------------------------------------------------------------------------------------------------

    def _enter(self, job: JobRecord) -> None:
        if job.input_key and not job.is_finished and job.duplicate_of is None:
            self._active_by_key[job.input_key] = job.job_id
        if job.state is JobState.OFFERED:
            self._open_offers[job.job_id] = False
        if job.takes_slot:
            self.queue.mark_running(ActiveJob(job.job_id, job.source, job.requester, job.priority, job.assigned_at))
        for need in _waits_for(job):
            self._waiting_dependents[need].add(job.job_id)
        for loss in job.losses:
            if not loss.is_confirmed:
                self._suspects[loss.runner_id].add(job.job_id)
        if job.state is JobState.QUEUED:
            if job.not_before:
                heapq.heappush(self._delayed, (job.not_before, job.job_id))
            else:
                self._enqueue(job)

    def _leave(self, job: JobRecord) -> None:
        if job.input_key and self._active_by_key.get(job.input_key) == job.job_id:
            del self._active_by_key[job.input_key]
        self._open_offers.pop(job.job_id, None)
        for need in _waits_for(job):
            self._waiting_dependents[need].discard(job.job_id)
        if job.state is JobState.QUEUED:
            self.queue.remove(job.job_id)

    def _enqueue(self, job: JobRecord) -> None:
        self.queue.add(queued_job(job), job.queued_at)
        self._newly_queued.append(job.job_id)


def _waits_for(job: JobRecord) -> tuple[JobId, ...]:
    if job.state is not JobState.BLOCKED:
        return ()
    return (job.duplicate_of,) if job.duplicate_of else job.needs
