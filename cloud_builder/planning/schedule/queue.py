"""The scheduler's job queue: jobs that could start, in the order in which they get slots.

Input: queued jobs (plain data), active jobs, and the time. Output: the job that is next for some requirements.
Must not: use a clock or randomness (the same calls give the same order), or read all queued jobs in a call.

The order (doc/concept/scheduling.md):

1. the class; a job that waits counts as a higher class after a time (ageing);
2. in a class the source with the fewest slots for its weight, then its requester with the fewest;
3. of the requester the oldest request;
4. in the request the job with the longest path to the end.

A quota is a number of slots that is never exceeded. The queue exists in memory alone: `restored` makes it again from
the queued and active jobs, `restore_usage` adds what was used recently.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable, Iterator
from itertools import count
from typing import NamedTuple

from cloud_builder.model.ids import JobId

from .fair_share import FairShares
from .queue_tree import QueueHead, QueueTree, RequesterQueue
from .queued_job import AGEING_STEPS, ActiveJob, QueuedJob, QueuePolicy, SortKey, requester_class, sort_key
from .usage import UsageSnapshot

__all__ = ["ActiveJob", "JobQueue", "QueueHead", "QueuePolicy", "QueuedJob", "restored"]


class _Waiting(NamedTuple):
    job: QueuedJob
    queue: RequesterQueue


class JobQueue:
    """Queued jobs, and the shares of active ones."""

    def __init__(self, policy: QueuePolicy, now: float = 0.0) -> None:
        self._policy = policy
        self._waiting: dict[JobId, _Waiting] = {}
        self._shares = FairShares(policy, now)
        self._tree = QueueTree(self._shares, self._first_key)
        self._changed: list[RequesterQueue] = []
        """Queues whose oldest job was removed."""
        self._ageing: list[tuple[float, int, RequesterQueue]] = []
        """A heap of queues, by the time at which they reach the next class. The number keeps entries comparable."""
        self._numbers = count()

    # --- queued jobs ----------------------------------------------------------------------------------------------

    def add(self, job: QueuedJob, now: float) -> None:
        """Adds a job; an entry of the same job is replaced."""
        self.remove(job.job_id)
        queue = self._tree.queue_of(job)
        self._waiting[job.job_id] = _Waiting(job, queue)
        heapq.heappush(queue.keys, sort_key(job))
        heapq.heappush(queue.ages, (job.since, job.job_id))
        self._tree.add_count(queue, 1)
        if queue.count == 1 or job.since < queue.oldest:
            self._update_rank(queue, now)

    def remove(self, job_id: JobId) -> None:
        """Removes a job; nothing happens if it is not queued."""
        waiting = self._waiting.pop(job_id, None)
        if waiting is None:
            return
        job, queue = waiting
        self._tree.add_count(queue, -1)
        if not queue.count:
            queue.keys.clear()
            queue.ages.clear()
        elif job.since <= queue.oldest and not queue.is_changed:
            queue.is_changed = True
            self._changed.append(queue)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def requirements(self) -> Iterator[Hashable]:
        """Returns the requirements of queued jobs, also of those that a quota holds back."""
        return self._tree.requirements()

    def jobs(self) -> Iterator[QueuedJob]:
        """Returns all queued jobs, in no particular order."""
        return (waiting.job for waiting in self._waiting.values())

    # --- active jobs ----------------------------------------------------------------------------------------------

    def mark_running(self, job: ActiveJob, rank: int | None = None) -> None:
        """Counts a job that got a slot, and removes it from the queue. A second call for the same job changes nothing.

        `rank`: the class that the job counted as."""
        self.remove(job.job_id)
        if job.job_id not in self._shares:
            self._shares.start(job, rank)

    def release(self, job_id: JobId, now: float) -> None:
        """Counts the slot of a job as free; nothing happens if the job had none."""
        ended = self._shares.end(job_id, now)
        if ended is not None:
            job, was_full = ended
            if was_full:
                self._tree.enter_all()
            else:
                self._tree.enter(job.source, requester_class(job))

    def usage(self) -> UsageSnapshot:
        """Returns the recent usage, to be saved."""
        return self._shares.usage()

    @property
    def usage_version(self) -> int:
        """Increases with every change of the usage."""
        return self._shares.version

    def restore_usage(self, usage: UsageSnapshot) -> None:
        """Takes over the usage of before a restart. Must be called before the active jobs are added."""
        self._shares.restore_usage(usage)

    @property
    def busy(self) -> int:
        """The number of active jobs."""
        return len(self._shares)

    def jobs_in_slots(self, name: str) -> int:
        """Returns the active jobs of a source or requester that has a quota."""
        return self._shares.slots(name)

    # --- the next job ---------------------------------------------------------------------------------------------

    def advance_time(self, now: float) -> None:
        """Lets queued jobs age into higher classes, and recent usage decay."""
        changed, self._changed = self._changed, []
        for queue in changed:
            self._update_rank(queue, now)
        while self._ageing and self._ageing[0][0] <= now:
            when, _, queue = heapq.heappop(self._ageing)
            if when == queue.next_class_at:
                self._update_rank(queue, now)
        if self._shares.decay(now):
            self._ageing = [entry for entry in self._ageing if entry[2].count]
            heapq.heapify(self._ageing)
            self._tree.prune()
            self._tree.enter_all()

    def peek(self, requirements: Hashable) -> QueueHead | None:
        """Returns the next job with these requirements; None if there is none, or quotas are full."""
        return self._tree.first(requirements)

    def rank(self, job_id: JobId) -> int:
        """Returns the class that a queued job counts as now."""
        return self._waiting[job_id].queue.rank

    def pop_to_slot(self, job_id: JobId, now: float) -> QueuedJob:
        """Moves a job from the queue to the active jobs."""
        job, queue = self._waiting[job_id]
        self.mark_running(ActiveJob(job_id, job.source, job.requester, job.priority, now), queue.rank)
        return job

    # --- inside ---------------------------------------------------------------------------------------------------

    def _update_rank(self, queue: RequesterQueue, now: float) -> None:
        """Moves a queue into the class that its oldest job counts as, and sets when it reaches the next one."""
        queue.is_changed = False
        if not queue.count:
            return
        while (waiting := self._waiting.get(queue.ages[0][1])) is None or waiting.job.since != queue.ages[0][0]:
            heapq.heappop(queue.ages)
        queue.oldest = queue.ages[0][0]
        times = [queue.oldest + steps * self._policy.ageing for steps in AGEING_STEPS]
        rank = max(0, queue.requester[0] - sum(now >= when for when in times))
        if rank != queue.rank:
            self._tree.move(queue, rank)
        next_class_at = next((when for when in times if when > now), 0.0) if rank else 0.0
        if next_class_at and next_class_at != queue.next_class_at:
            heapq.heappush(self._ageing, (next_class_at, next(self._numbers), queue))
        queue.next_class_at = next_class_at

    def _first_key(self, queue: RequesterQueue) -> SortKey:
        """Returns the first sort key that belongs to a queued job; removes outdated ones before it."""
        while True:
            key = queue.keys[0]
            waiting = self._waiting.get(key[3])
            if waiting is not None and waiting.queue is queue and sort_key(waiting.job) == key:
                return key
            heapq.heappop(queue.keys)


def restored(policy: QueuePolicy, waiting: Iterable[QueuedJob], active: Iterable[ActiveJob], now: float) -> JobQueue:
    """Returns a queue with these queued and active jobs."""
    queue = JobQueue(policy, now)
    for active_job in active:
        queue.mark_running(active_job)
    for queued_job in waiting:
        queue.add(queued_job, now)
    return queue
