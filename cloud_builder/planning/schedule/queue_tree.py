"""Queued jobs as a tree: runner requirements → priority class → source → requester.

Returns the head of each set of requirements: the most urgent class first, in it source and requester by fair share.
The class that a requester's jobs count as is decided by the caller (`queue.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple

from cloud_builder.model.ids import JobId, SourceName

from .fair_share import FairShares
from .fair_share_heap import FairShareHeap, ShareKey
from .queued_job import CLASSES, QueuedJob, RequesterClass, SortKey, requester_class


class QueueHead(NamedTuple):
    """The next job for some requirements. Heads compare: the lesser one is the next of both."""

    rank: int
    source_share: ShareKey
    source: SourceName
    requester_share: ShareKey
    requester: RequesterClass
    sort_key: SortKey

    @property
    def job_id(self) -> JobId:
        return self.sort_key[3]


class RequesterQueue:
    """The queued jobs of one requester with the same requirements, source and priority.

    `rank`: the class that all of them count as, by the job that has waited longest; so the jobs of a request keep
    their order. `keys` and `ages` are heaps; entries of removed jobs stay until they reach the top.
    """

    __slots__ = (
        "ages",
        "count",
        "is_changed",
        "keys",
        "next_class_at",
        "oldest",
        "rank",
        "requester",
        "requirements",
        "source",
    )

    def __init__(self, requirements: Hashable, source: SourceName, requester: RequesterClass) -> None:
        self.requirements, self.source, self.requester = requirements, source, requester
        self.rank = requester[0]
        self.keys: list[SortKey] = []
        self.ages: list[tuple[float, JobId]] = []
        self.oldest = 0.0
        """When the job that has waited longest became ready."""
        self.next_class_at = 0.0
        """When the jobs reach the next class; 0: never."""
        self.is_changed = False
        """True if the job that had waited longest was removed, so that `rank` has to be computed again."""
        self.count = 0


class SourceQueue:
    """The queued jobs of one source in a priority class, by requester."""

    __slots__ = ("by_share", "count", "requesters")

    def __init__(self, by_share: FairShareHeap[RequesterClass]) -> None:
        self.by_share = by_share
        self.requesters: dict[RequesterClass, RequesterQueue] = {}
        self.count = 0


class PriorityLevel:
    """The queued jobs of one priority class with the same requirements, by source."""

    __slots__ = ("by_share", "count", "sources")

    def __init__(self) -> None:
        self.by_share: FairShareHeap[SourceName]
        self.sources: dict[SourceName, SourceQueue] = {}
        self.count = 0


class QueueTree:
    """All queued jobs. `first_key`: returns the first sort key of a requester's queue that belongs to a queued job."""

    def __init__(self, shares: FairShares, first_key: Callable[[RequesterQueue], SortKey]) -> None:
        self._shares, self._first_key = shares, first_key
        self._levels: dict[Hashable, list[PriorityLevel]] = {}
        self._queues: dict[tuple[Hashable, SourceName, RequesterClass], RequesterQueue] = {}

    def queue_of(self, job: QueuedJob) -> RequesterQueue:
        """Returns the queue that a job belongs to; creates it if there is none."""
        requester = requester_class(job)
        key = (job.requirements, job.source, requester)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = RequesterQueue(*key)
            self._source_queue(queue).requesters[requester] = queue
        return queue

    def requirements(self) -> Iterator[Hashable]:
        """Returns the requirements that at least one queued job has."""
        return (required for required, levels in self._levels.items() if any(level.count for level in levels))

    def first(self, requirements: Hashable) -> QueueHead | None:
        """Returns the next job with these requirements; None if there is none, or quotas are full."""
        for rank, level in enumerate(self._levels.get(requirements, ())):
            if level.count:
                head = self._head(level, rank)
                if head is not None:
                    return head
        return None

    def add_count(self, queue: RequesterQueue, change: int) -> None:
        """Changes the number of queued jobs; a queue that was empty takes part in fair share again."""
        queue.count += change
        self._source_queue(queue).count += change
        self._level(queue).count += change
        if change > 0 and queue.count == change:
            self._source_queue(queue).by_share.enter(queue.requester)
            self._level(queue).by_share.enter(queue.source)

    def move(self, queue: RequesterQueue, rank: int) -> None:
        """Moves a requester's queue into another class."""
        count = queue.count
        self.add_count(queue, -count)
        del self._source_queue(queue).requesters[queue.requester]
        queue.rank = rank
        self._source_queue(queue).requesters[queue.requester] = queue
        self.add_count(queue, count)

    def enter(self, name: SourceName, requester: RequesterClass) -> None:
        """Moves a source and a requester forward after their shares became smaller."""
        for levels in self._levels.values():
            for level in levels:
                source = level.sources.get(name)
                if source is not None and source.count:
                    source.by_share.enter(requester)
                    level.by_share.enter(name)

    def enter_all(self) -> None:
        """Moves every name to its position again, after a quota is no longer full or every share has changed."""
        for levels in self._levels.values():
            for level in levels:
                for name, source in level.sources.items():
                    for requester in source.requesters:
                        source.by_share.enter(requester)
                    level.by_share.enter(name)

    def prune(self) -> None:
        """Removes empty queues."""
        self._queues = {key: queue for key, queue in self._queues.items() if queue.count}
        for levels in self._levels.values():
            for level in levels:
                for source in level.sources.values():
                    source.requesters = {name: queue for name, queue in source.requesters.items() if queue.count}
                level.sources = {name: source for name, source in level.sources.items() if source.count}
        self._levels = {
            required: levels for required, levels in self._levels.items() if any(level.count for level in levels)
        }

    def _head(self, level: PriorityLevel, rank: int) -> QueueHead | None:
        while (name := level.by_share.first()) is not None:
            source = level.sources[name]
            requester = source.by_share.first()
            if requester is None:  # the quotas of all its requesters are full
                level.by_share.leave()
                continue
            source_share = self._shares.source_share(name, rank)
            requester_share = self._shares.requester_share(name, requester, rank)
            first_key = self._first_key(source.requesters[requester])
            return QueueHead(rank, source_share, name, requester_share, requester, first_key)
        return None

    def _source_queue(self, queue: RequesterQueue) -> SourceQueue:
        """Returns the source's queue in the class that the requester's queue counts as."""
        level = self._level(queue)
        source = level.sources.get(queue.source)
        if source is None:
            source = level.sources[queue.source] = self._new_source_queue(queue.source, queue.rank)
        return source

    def _level(self, queue: RequesterQueue) -> PriorityLevel:
        levels = self._levels.get(queue.requirements)
        if levels is None:
            levels = self._levels[queue.requirements] = [self._new_level(rank) for rank in range(CLASSES)]
        return levels[queue.rank]

    def _new_level(self, rank: int) -> PriorityLevel:
        level = PriorityLevel()

        def share(name: SourceName) -> ShareKey | None:
            source = level.sources.get(name)
            if source is None or not source.count or self._shares.is_full(name):
                return None
            return self._shares.source_share(name, rank)

        level.by_share = FairShareHeap(share)
        return level

    def _new_source_queue(self, name: SourceName, rank: int) -> SourceQueue:
        def share(requester: RequesterClass) -> ShareKey | None:
            queue = source.requesters.get(requester)
            if queue is None or not queue.count or self._shares.is_full(requester[1]):
                return None
            return self._shares.requester_share(name, requester, rank)

        source = SourceQueue(FairShareHeap(share))
        return source
