"""Where waiting jobs lie: a shelf a class of each pool, in it a row a source, in it a lane an asker.

Finds the next one of a shelf by whose turn it is; which class a lane counts as is decided elsewhere (`order`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple

from cloud_builder.model.ids import JobId, SourceName

from .fair_share import FairShares
from .fair_share_heap import FairShareHeap, ShareKey
from .queued_job import CLASSES, QueuedJob, RequesterClass, SortKey, requester_class


class QueueHead(NamedTuple):
    """The next job of a pool. Comparable: the lesser one is the next of both pools."""

    rank: int
    source_standing: ShareKey
    source: SourceName
    asker_standing: ShareKey
    asker: RequesterClass
    place: SortKey

    @property
    def job_id(self) -> JobId:
        return self.place[3]


class RequesterQueue:
    """What one asker waits for in one pool, and the class that it counts as: by the job that has waited longest, so
    that a request keeps its own order. What is told of jobs that are gone stays until it comes up."""

    __slots__ = ("ages", "asker", "count", "is_changed", "oldest", "places", "pool", "rank", "rises", "source")

    def __init__(self, pool: Hashable, source: SourceName, asker: RequesterClass) -> None:
        self.pool, self.source, self.asker = pool, source, asker
        self.rank = asker[0]
        self.places: list[SortKey] = []
        self.ages: list[tuple[float, JobId]] = []
        self.oldest = 0.0
        self.rises = 0.0
        """When it is looked at again."""
        self.is_changed = False
        self.count = 0


class SourceQueue:
    """One source in a shelf."""

    __slots__ = ("count", "lanes", "turns")

    def __init__(self, turns: FairShareHeap[RequesterClass]) -> None:
        self.turns = turns
        self.lanes: dict[RequesterClass, RequesterQueue] = {}
        self.count = 0


class PriorityLevel:
    """One class of one pool."""

    __slots__ = ("count", "rows", "turns")

    def __init__(self) -> None:
        self.turns: FairShareHeap[SourceName]
        self.rows: dict[SourceName, SourceQueue] = {}
        self.count = 0


class QueueTree:
    """`front`: the first place of a lane in which something still waits."""

    def __init__(self, shares: FairShares, front: Callable[[RequesterQueue], SortKey]) -> None:
        self._shares, self._front = shares, front
        self._shelves: dict[Hashable, list[PriorityLevel]] = {}
        self._lanes: dict[tuple[Hashable, SourceName, RequesterClass], RequesterQueue] = {}

    def lane(self, ticket: QueuedJob) -> RequesterQueue:
        asker = requester_class(ticket)
        lane = self._lanes.get((ticket.pool, ticket.source, asker))
        if lane is None:
            lane = self._lanes[ticket.pool, ticket.source, asker] = RequesterQueue(ticket.pool, ticket.source, asker)
            self._row(lane).lanes[asker] = lane
        return lane

    def pools(self) -> Iterator[Hashable]:
        return (pool for pool, shelves in self._shelves.items() if any(shelf.count for shelf in shelves))

    def first(self, pool: Hashable) -> QueueHead | None:
        for rank, shelf in enumerate(self._shelves.get(pool, ())):
            if shelf.count:
                head = self._head(shelf, rank)
                if head is not None:
                    return head
        return None

    def count(self, lane: RequesterQueue, more: int) -> None:
        lane.count += more
        self._row(lane).count += more
        self._shelf(lane).count += more
        if more > 0 and lane.count == more:
            self._row(lane).turns.enter(lane.asker)
            self._shelf(lane).turns.enter(lane.source)

    def move(self, lane: RequesterQueue, rank: int) -> None:
        """Into another class."""
        waiting = lane.count
        self.count(lane, -waiting)
        del self._row(lane).lanes[lane.asker]
        lane.rank = rank
        self._row(lane).lanes[lane.asker] = lane
        self.count(lane, waiting)

    def enter(self, source: SourceName, asker: RequesterClass) -> None:
        """Their standing got better."""
        for shelves in self._shelves.values():
            for shelf in shelves:
                row = shelf.rows.get(source)
                if row is not None and row.count:
                    row.turns.enter(asker)
                    shelf.turns.enter(source)

    def enter_all(self) -> None:
        """A quota has room again, or every standing has changed."""
        for shelves in self._shelves.values():
            for shelf in shelves:
                for source, row in shelf.rows.items():
                    for asker in row.lanes:
                        row.turns.enter(asker)
                    shelf.turns.enter(source)

    def sweep(self) -> None:
        """Forgets where nothing lies."""
        self._lanes = {key: lane for key, lane in self._lanes.items() if lane.count}
        for shelves in self._shelves.values():
            for shelf in shelves:
                for row in shelf.rows.values():
                    row.lanes = {asker: lane for asker, lane in row.lanes.items() if lane.count}
                shelf.rows = {source: row for source, row in shelf.rows.items() if row.count}
        self._shelves = {pool: some for pool, some in self._shelves.items() if any(shelf.count for shelf in some)}

    def _head(self, shelf: PriorityLevel, rank: int) -> QueueHead | None:
        while (source := shelf.turns.first()) is not None:
            row = shelf.rows[source]
            asker = row.turns.first()
            if asker is None:  # only those wait whose quota is used up
                shelf.turns.leave()
                continue
            standing, own = self._shares.source_share(source, rank), self._shares.requester_share(source, asker, rank)
            return QueueHead(rank, standing, source, own, asker, self._front(row.lanes[asker]))
        return None

    def _row(self, lane: RequesterQueue) -> SourceQueue:
        """Where it belongs by its class."""
        shelf = self._shelf(lane)
        row = shelf.rows.get(lane.source)
        if row is None:
            row = shelf.rows[lane.source] = self._new_row(lane.source, lane.rank)
        return row

    def _shelf(self, lane: RequesterQueue) -> PriorityLevel:
        shelves = self._shelves.get(lane.pool)
        if shelves is None:
            shelves = self._shelves[lane.pool] = [self._new_shelf(rank) for rank in range(CLASSES)]
        return shelves[lane.rank]

    def _new_shelf(self, rank: int) -> PriorityLevel:
        shelf = PriorityLevel()

        def standing(source: SourceName) -> ShareKey | None:
            row = shelf.rows.get(source)
            if row is None or not row.count or self._shares.is_full(source):
                return None
            return self._shares.source_share(source, rank)

        shelf.turns = FairShareHeap(standing)
        return shelf

    def _new_row(self, source: SourceName, rank: int) -> SourceQueue:
        def standing(asker: RequesterClass) -> ShareKey | None:
            lane = row.lanes.get(asker)
            if lane is None or not lane.count or self._shares.is_full(asker[1]):
                return None
            return self._shares.requester_share(source, asker, rank)

        row = SourceQueue(FairShareHeap(standing))
        return row
