"""Which waiting job is next: the queue of the scheduler.

In come tickets (a job that could start now, as plain data), what is held, and the time; out goes the job whose turn it
is in a pool. First the class, in which a job rises with its waiting (ageing); in the class the source that holds the
least slots for its weight, and of it the requester; of that one the oldest request; in a request the job with the
longest way to the end. A quota is a number of slots that nothing goes beyond. Concept: doc/concept/order.md.

It is a value of the scheduler's memory alone: all of it comes back from the tickets of the queued jobs and from what is
held (what was used lately is forgotten). No clock, no dice: the same calls give the same order. Each call looks at the
few whose turn it may be, never at all that wait.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import NamedTuple

from cloud_builder.model.ids import JobId, SourceName
from cloud_builder.model.priority import Priority

from .turns import Share, Standing, Turns

FADES = 3600.0
"""Seconds after which what was used counts half."""

CLASSES = len(Priority)

RISES = (1.0, 10.0)
"""After how many times `ageing` a job has risen by one class, and by two: soon enough into the class above, where it
gets its share; into the one of those who sit and wait only lest it never has its turn."""


URGENT = 4.0
"""Beside work that has risen into its class, more urgent work of the same source has so many times the share."""


@dataclass(frozen=True)
class Rules:
    """`ageing`: seconds of waiting after which work counts as that of the class above (see RISES).

    `weights` and `quotas` (slots): by the name of a source or of a requester."""

    ageing: float = 1800.0
    weights: Mapping[str, float] = field(default_factory=dict)
    quotas: Mapping[str, int] = field(default_factory=dict)


class Ticket(NamedTuple):
    """A job that waits for a slot. `pool`: who may take it (anything hashable). `since`: when its waiting began.

    `sequence`: of its request, the oldest has the lowest. `path`: seconds to the end of the longest chain of jobs that
    wait for it; `number`: its place in the request."""

    job_id: JobId
    pool: Hashable
    source: SourceName
    requester: str
    priority: Priority
    since: float
    sequence: float
    path: float
    number: int


class Held(NamedTuple):
    """A job that has a slot. `since`: when it got it."""

    job_id: JobId
    source: SourceName
    requester: str
    priority: Priority
    since: float


Place = tuple[float, float, int, JobId]
"""In a lane: older requests first, in a request the longest way first, then by number."""

Asker = tuple[int, str]
"""A requester in one of its classes: urgent work of somebody need not wait for the old bulk work of the same one."""


class Head(NamedTuple):
    """The next job of a pool. Comparable: the lesser one is the next of both pools."""

    rank: int
    source_standing: Standing
    source: SourceName
    asker_standing: Standing
    asker: Asker
    place: Place

    @property
    def job_id(self) -> JobId:
        return self.place[3]


class _Lane:
    """What one asker waits for in one pool, and the class that it counts as: by the job that has waited longest, so
    that a request keeps its own order. What is told of jobs that are gone stays until it comes up."""

    __slots__ = ("ages", "asker", "count", "is_changed", "oldest", "places", "pool", "rank", "rises", "source")

    def __init__(self, pool: Hashable, source: SourceName, asker: Asker) -> None:
        self.pool, self.source, self.asker = pool, source, asker
        self.rank = asker[0]
        self.places: list[Place] = []
        self.ages: list[tuple[float, JobId]] = []
        self.oldest = 0.0
        self.rises = 0.0
        """When it is looked at again."""
        self.is_changed = False
        self.count = 0


class _Row:
    """One source in a shelf."""

    __slots__ = ("count", "lanes", "turns")

    def __init__(self, turns: Turns[Asker]) -> None:
        self.turns = turns
        self.lanes: dict[Asker, _Lane] = {}
        self.count = 0


class _Shelf:
    """One class of one pool."""

    __slots__ = ("count", "rows", "turns")

    def __init__(self) -> None:
        self.turns: Turns[SourceName]
        self.rows: dict[SourceName, _Row] = {}
        self.count = 0


class _Waiting(NamedTuple):
    ticket: Ticket
    lane: _Lane


class Order:
    """The jobs that wait and those that hold slots."""

    def __init__(self, rules: Rules, now: float = 0.0) -> None:
        self._rules = rules
        self._waiting: dict[JobId, _Waiting] = {}
        self._held: dict[JobId, tuple[Held, int]] = {}
        """With the class that it counted as when it got its slot."""
        self._shelves: dict[Hashable, list[_Shelf]] = {}
        self._sources: dict[SourceName, Share] = {}
        self._askers: dict[tuple[SourceName, Asker], Share] = {}
        self._slots: dict[str, int] = {}
        """Held by each source or requester that has a quota."""
        self._lanes: dict[tuple[Hashable, SourceName, Asker], _Lane] = {}
        self._changed: list[_Lane] = []
        """Their oldest job is gone."""
        self._rising: list[tuple[float, int, _Lane]] = []
        self._numbers = count()
        self._faded = now

    # --- what waits -----------------------------------------------------------------------------------------------

    def add(self, ticket: Ticket, now: float) -> None:
        """It waits from now on; a ticket of the same job that waits already is replaced."""
        self.remove(ticket.job_id)
        lane = self._lane(ticket)
        self._waiting[ticket.job_id] = _Waiting(ticket, lane)
        heapq.heappush(lane.places, _place(ticket))
        heapq.heappush(lane.ages, (ticket.since, ticket.job_id))
        self._count(lane, 1)
        if lane.count == 1:
            self._enter_lane(lane)
        if lane.count == 1 or ticket.since < lane.oldest:
            self._settle(lane, now)

    def remove(self, job_id: JobId) -> None:
        """It does not wait any more."""
        waiting = self._waiting.pop(job_id, None)
        if waiting is None:
            return
        ticket, lane = waiting
        self._count(lane, -1)
        if not lane.count:
            lane.places.clear()
            lane.ages.clear()
        elif ticket.since <= lane.oldest and not lane.is_changed:
            lane.is_changed = True
            self._changed.append(lane)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def pools(self) -> Iterator[Hashable]:
        """In which something waits, whether or not a quota allows it."""
        return (pool for pool, shelves in self._shelves.items() if any(shelf.count for shelf in shelves))

    def tickets(self) -> Iterator[Ticket]:
        """Of all that wait, in no order that means anything."""
        return (waiting.ticket for waiting in self._waiting.values())

    # --- what is held ---------------------------------------------------------------------------------------------

    def start(self, held: Held, rank: int | None = None) -> None:
        """It has a slot, and waits no more. Known already: nothing changes. `rank`: the class that it counted as."""
        self.remove(held.job_id)
        if held.job_id in self._held:
            return
        rank = held.priority.rank if rank is None else rank
        self._held[held.job_id] = held, rank
        self._source(held.source).take(rank)
        self._asker(held.source, (held.priority.rank, held.requester)).take(rank)
        for name in self._limited(held):
            self._slots[name] = self._slots.get(name, 0) + 1

    def end(self, job_id: JobId, now: float) -> None:
        """Its slot is free again."""
        held, rank = self._held.pop(job_id, (None, 0))
        if held is None:
            return
        seconds = max(0.0, now - held.since)
        asker = (held.priority.rank, held.requester)
        self._source(held.source).give_back(rank, seconds)
        self._asker(held.source, asker).give_back(rank, seconds)
        full = [name for name in self._limited(held) if self._is_full(name)]
        for name in self._limited(held):
            self._slots[name] -= 1
        if full:
            self._enter_all()
        else:
            self._enter(held.source, asker)

    @property
    def busy(self) -> int:
        """Jobs that hold a slot."""
        return len(self._held)

    def held(self, name: str) -> int:
        """Slots of a source or of a requester that has a quota."""
        return self._slots.get(name, 0)

    # --- who is next ----------------------------------------------------------------------------------------------

    def at(self, now: float) -> None:
        """Time has passed: jobs rise into the class above, and what was used fades."""
        changed, self._changed = self._changed, []
        for lane in changed:
            self._settle(lane, now)
        while self._rising and self._rising[0][0] <= now:
            when, _, lane = heapq.heappop(self._rising)
            if when == lane.rises:
                self._settle(lane, now)
        if now - self._faded >= FADES:
            self._fade(now)

    def first(self, pool: Hashable) -> Head | None:
        """Whose turn it is among those that the pool's runners could take; None: nobody's, or quotas are used up."""
        for rank, shelf in enumerate(self._shelves.get(pool, ())):
            if shelf.count:
                head = self._head(shelf, rank)
                if head is not None:
                    return head
        return None

    def rank(self, job_id: JobId) -> int:
        """The class that it counts as by now."""
        return self._waiting[job_id].lane.rank

    def take(self, job_id: JobId, now: float) -> Ticket:
        """The job gets a slot."""
        ticket, lane = self._waiting[job_id]
        self.start(Held(job_id, ticket.source, ticket.requester, ticket.priority, now), lane.rank)
        return ticket

    # --- inside ---------------------------------------------------------------------------------------------------

    def _lane(self, ticket: Ticket) -> _Lane:
        asker = (ticket.priority.rank, ticket.requester)
        lane = self._lanes.get((ticket.pool, ticket.source, asker))
        if lane is None:
            lane = self._lanes[ticket.pool, ticket.source, asker] = _Lane(ticket.pool, ticket.source, asker)
            self._row(lane).lanes[asker] = lane
        return lane

    def _row(self, lane: _Lane) -> _Row:
        """Where it belongs by its class."""
        shelf = self._shelf(lane)
        row = shelf.rows.get(lane.source)
        if row is None:
            row = shelf.rows[lane.source] = self._new_row(lane.source, lane.rank)
        return row

    def _shelf(self, lane: _Lane) -> _Shelf:
        shelves = self._shelves.get(lane.pool)
        if shelves is None:
            shelves = self._shelves[lane.pool] = [self._new_shelf(rank) for rank in range(CLASSES)]
        return shelves[lane.rank]

    def _count(self, lane: _Lane, more: int) -> None:
        lane.count += more
        self._row(lane).count += more
        self._shelf(lane).count += more

    def _enter_lane(self, lane: _Lane) -> None:
        self._row(lane).turns.enter(lane.asker)
        self._shelf(lane).turns.enter(lane.source)

    def _settle(self, lane: _Lane, now: float) -> None:
        """Puts a lane into the class that its oldest job has waited for."""
        lane.is_changed = False
        if not lane.count:
            return
        while (waiting := self._waiting.get(lane.ages[0][1])) is None or waiting.ticket.since != lane.ages[0][0]:
            heapq.heappop(lane.ages)
        lane.oldest = lane.ages[0][0]
        times = [lane.oldest + times * self._rules.ageing for times in RISES]
        rank = max(0, lane.asker[0] - sum(now >= when for when in times))
        if rank != lane.rank:
            self._move(lane, rank)
        rises = next((when for when in times if when > now), 0.0) if rank else 0.0
        if rises and rises != lane.rises:
            heapq.heappush(self._rising, (rises, next(self._numbers), lane))
        lane.rises = rises

    def _move(self, lane: _Lane, rank: int) -> None:
        waiting = lane.count
        self._count(lane, -waiting)
        del self._row(lane).lanes[lane.asker]
        lane.rank = rank
        self._row(lane).lanes[lane.asker] = lane
        self._count(lane, waiting)
        self._enter_lane(lane)

    def _new_shelf(self, rank: int) -> _Shelf:
        shelf = _Shelf()

        def standing(source: SourceName) -> Standing | None:
            row = shelf.rows.get(source)
            if row is None or not row.count or self._is_full(source):
                return None
            return self._source(source).standing[rank]

        shelf.turns = Turns(standing)
        return shelf

    def _new_row(self, source: SourceName, rank: int) -> _Row:
        def standing(asker: Asker) -> Standing | None:
            lane = row.lanes.get(asker)
            if lane is None or not lane.count or self._is_full(asker[1]):
                return None
            return self._asker(source, asker).standing[rank]

        row = _Row(Turns(standing))
        return row

    def _head(self, shelf: _Shelf, rank: int) -> Head | None:
        while (source := shelf.turns.first()) is not None:
            row = shelf.rows[source]
            asker = row.turns.first()
            if asker is None:  # only those wait whose quota is used up
                shelf.turns.leave()
                continue
            place = self._front(row.lanes[asker])
            standings = self._source(source).standing[rank], self._asker(source, asker).standing[rank]
            return Head(rank, standings[0], source, standings[1], asker, place)
        return None

    def _front(self, lane: _Lane) -> Place:
        """The first place of a lane in which something waits."""
        while True:
            place = lane.places[0]
            waiting = self._waiting.get(place[3])
            if waiting is not None and waiting.lane is lane and _place(waiting.ticket) == place:
                return place
            heapq.heappop(lane.places)

    def _source(self, source: SourceName) -> Share:
        share = self._sources.get(source)
        if share is None:
            share = self._sources[source] = Share(self._rules.weights.get(source, 1.0), CLASSES)
        return share

    def _asker(self, source: SourceName, asker: Asker) -> Share:
        share = self._askers.get((source, asker))
        if share is None:
            share = self._askers[source, asker] = Share(
                self._rules.weights.get(asker[1], 1.0) * URGENT ** -asker[0], CLASSES
            )
        return share

    def _limited(self, held: Held) -> list[str]:
        quotas = self._rules.quotas
        return [name for name in {held.source: 0, held.requester: 0} if name in quotas] if quotas else []

    def _is_full(self, name: str) -> bool:
        quota = self._rules.quotas.get(name)
        return quota is not None and self._slots.get(name, 0) >= quota

    def _enter(self, source: SourceName, asker: Asker) -> None:
        """Their standing got better."""
        for shelves in self._shelves.values():
            for shelf in shelves:
                row = shelf.rows.get(source)
                if row is not None and row.count:
                    row.turns.enter(asker)
                    shelf.turns.enter(source)

    def _enter_all(self) -> None:
        """A quota has room again, or every standing has changed."""
        for shelves in self._shelves.values():
            for shelf in shelves:
                for source, row in shelf.rows.items():
                    for asker in row.lanes:
                        row.turns.enter(asker)
                    shelf.turns.enter(source)

    def _fade(self, now: float) -> None:
        factor = 0.5 ** ((now - self._faded) / FADES)
        self._faded = now
        for share in (*self._sources.values(), *self._askers.values()):
            share.fade(factor)
        self._sweep()
        self._enter_all()

    def _sweep(self) -> None:
        """Forgets names that nothing is known of any more."""
        self._lanes = {key: lane for key, lane in self._lanes.items() if lane.count}
        self._rising = [rising for rising in self._rising if rising[2].count]
        heapq.heapify(self._rising)
        for shelves in self._shelves.values():
            for shelf in shelves:
                for row in shelf.rows.values():
                    row.lanes = {asker: lane for asker, lane in row.lanes.items() if lane.count}
                shelf.rows = {source: row for source, row in shelf.rows.items() if row.count}
        self._shelves = {pool: some for pool, some in self._shelves.items() if any(shelf.count for shelf in some)}
        self._sources = {name: share for name, share in self._sources.items() if not share.is_idle}
        self._askers = {name: share for name, share in self._askers.items() if not share.is_idle}


def _place(ticket: Ticket) -> Place:
    return (ticket.sequence, -ticket.path, ticket.number, ticket.job_id)


def restored(rules: Rules, waiting: Iterable[Ticket], held: Iterable[Held], now: float) -> Order:
    """The order that plain data tells of."""
    order = Order(rules, now)
    for one in held:
        order.start(one)
    for ticket in waiting:
        order.add(ticket, now)
    return order
