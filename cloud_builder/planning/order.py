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


@dataclass(frozen=True)
class Rules:
    """`ageing`: seconds of waiting after which a job counts as one of the class above (see RISES).

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
    """What one asker waits for in one class of one pool. Places of jobs that are gone stay until they come up."""

    __slots__ = ("count", "places")

    def __init__(self) -> None:
        self.places: list[Place] = []
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
    rank: int


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
        self._ripe: list[tuple[float, JobId]] = []
        self._faded = now

    # --- what waits -----------------------------------------------------------------------------------------------

    def add(self, ticket: Ticket, now: float) -> None:
        """It waits from now on; a ticket of the same job that waits already is replaced."""
        self.remove(ticket.job_id)
        waited = now - ticket.since
        risen = sum(waited >= times * self._rules.ageing for times in RISES)
        self._shelve(ticket, max(0, ticket.priority.rank - risen))

    def remove(self, job_id: JobId) -> None:
        """It does not wait any more."""
        waiting = self._waiting.pop(job_id, None)
        if waiting is None:
            return
        ticket, rank = waiting
        shelf = self._shelves[ticket.pool][rank]
        row = shelf.rows[ticket.source]
        lane = row.lanes[ticket.priority.rank, ticket.requester]
        lane.count -= 1
        row.count -= 1
        shelf.count -= 1
        if not lane.count:
            lane.places.clear()

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

    def held(self, name: str) -> int:
        """Slots of a source or of a requester that has a quota."""
        return self._slots.get(name, 0)

    # --- who is next ----------------------------------------------------------------------------------------------

    def at(self, now: float) -> None:
        """Time has passed: jobs rise into the class above, and what was used fades."""
        while self._ripe and self._ripe[0][0] <= now:
            ripe, job_id = heapq.heappop(self._ripe)
            waiting = self._waiting.get(job_id)
            if waiting is not None and waiting.rank and ripe == self._rises(waiting):
                self.remove(job_id)
                self._shelve(waiting.ticket, waiting.rank - 1)
        if len(self._ripe) > 2 * len(self._waiting) + 1000:
            self._ripe = [ripe for ripe in self._ripe if ripe[1] in self._waiting]
            heapq.heapify(self._ripe)
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

    def ticket(self, job_id: JobId) -> Ticket:
        return self._waiting[job_id].ticket

    def rank(self, job_id: JobId) -> int:
        """The class that it counts as by now."""
        return self._waiting[job_id].rank

    def full(self, ticket: Ticket) -> tuple[str, ...]:
        """The source or requester whose quota keeps it from starting."""
        return tuple(name for name in {ticket.source: 0, ticket.requester: 0} if self._is_full(name))

    def take(self, job_id: JobId, now: float) -> Ticket:
        """The job gets a slot."""
        ticket, rank = self._waiting[job_id]
        self.start(Held(job_id, ticket.source, ticket.requester, ticket.priority, now), rank)
        return ticket

    # --- inside ---------------------------------------------------------------------------------------------------

    def _shelve(self, ticket: Ticket, rank: int) -> None:
        shelves = self._shelves.get(ticket.pool)
        if shelves is None:
            shelves = self._shelves[ticket.pool] = [self._new_shelf(rank) for rank in range(CLASSES)]
        shelf = shelves[rank]
        row = shelf.rows.get(ticket.source)
        if row is None:
            row = shelf.rows[ticket.source] = self._new_row(ticket.source, rank)
        asker = (ticket.priority.rank, ticket.requester)
        lane = row.lanes.get(asker)
        if lane is None:
            lane = row.lanes[asker] = _Lane()
        heapq.heappush(lane.places, (ticket.sequence, -ticket.path, ticket.number, ticket.job_id))
        waiting = self._waiting[ticket.job_id] = _Waiting(ticket, rank)
        lane.count += 1
        row.count += 1
        shelf.count += 1
        if lane.count == 1:
            row.turns.enter(asker)
            shelf.turns.enter(ticket.source)
        if rank:
            heapq.heappush(self._ripe, (self._rises(waiting), ticket.job_id))

    def _rises(self, waiting: _Waiting) -> float:
        """When it comes into the class above."""
        ticket = waiting.ticket
        return ticket.since + RISES[ticket.priority.rank - waiting.rank] * self._rules.ageing

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
            if waiting is not None and self._lane_of(waiting) is lane and _place(waiting.ticket) == place:
                return place
            heapq.heappop(lane.places)

    def _lane_of(self, waiting: _Waiting) -> _Lane:
        ticket, rank = waiting
        return self._shelves[ticket.pool][rank].rows[ticket.source].lanes[ticket.priority.rank, ticket.requester]

    def _source(self, source: SourceName) -> Share:
        share = self._sources.get(source)
        if share is None:
            share = self._sources[source] = Share(self._rules.weights.get(source, 1.0), CLASSES)
        return share

    def _asker(self, source: SourceName, asker: Asker) -> Share:
        share = self._askers.get((source, asker))
        if share is None:
            share = self._askers[source, asker] = Share(self._rules.weights.get(asker[1], 1.0), CLASSES)
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
