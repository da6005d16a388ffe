"""Which waiting job is next: the queue of the scheduler.

In come tickets (a job that could start now, as plain data), what is held, and the time; out goes the job whose turn it
is in a pool. First the class, in which a job rises with its waiting (ageing); in the class the source that holds the
least slots for its weight, and of it the requester; of that one the oldest request; in a request the job with the
longest way to the end. A quota is a number of slots that nothing goes beyond. Concept: doc/concept/scheduling.md.

It is a value of the scheduler's memory alone: all of it comes back from the tickets of the queued jobs and from what is
held, with what was used lately (`usage`). No clock, no dice: the same calls give the same order. Each call looks at the
few whose turn it may be, never at all that wait.
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
    ticket: QueuedJob
    lane: RequesterQueue


class JobQueue:
    """The jobs that wait and those that hold slots."""

    def __init__(self, rules: QueuePolicy, now: float = 0.0) -> None:
        self._rules = rules
        self._waiting: dict[JobId, _Waiting] = {}
        self._shares = FairShares(rules, now)
        self._shelves = QueueTree(self._shares, self._front)
        self._changed: list[RequesterQueue] = []
        """Their oldest job is gone."""
        self._rising: list[tuple[float, int, RequesterQueue]] = []
        self._numbers = count()

    # --- what waits -----------------------------------------------------------------------------------------------

    def add(self, ticket: QueuedJob, now: float) -> None:
        """It waits from now on; a ticket of the same job that waits already is replaced."""
        self.remove(ticket.job_id)
        lane = self._shelves.lane(ticket)
        self._waiting[ticket.job_id] = _Waiting(ticket, lane)
        heapq.heappush(lane.places, sort_key(ticket))
        heapq.heappush(lane.ages, (ticket.since, ticket.job_id))
        self._shelves.count(lane, 1)
        if lane.count == 1 or ticket.since < lane.oldest:
            self._settle(lane, now)

    def remove(self, job_id: JobId) -> None:
        """It does not wait any more."""
        waiting = self._waiting.pop(job_id, None)
        if waiting is None:
            return
        ticket, lane = waiting
        self._shelves.count(lane, -1)
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
        return self._shelves.pools()

    def tickets(self) -> Iterator[QueuedJob]:
        """Of all that wait, in no order that means anything."""
        return (waiting.ticket for waiting in self._waiting.values())

    # --- what is held ---------------------------------------------------------------------------------------------

    def mark_running(self, held: ActiveJob, rank: int | None = None) -> None:
        """It has a slot, and waits no more. Known already: nothing changes. `rank`: the class that it counted as."""
        self.remove(held.job_id)
        if held.job_id not in self._shares:
            self._shares.start(held, rank)

    def release(self, job_id: JobId, now: float) -> None:
        """Its slot is free again."""
        ended = self._shares.end(job_id, now)
        if ended is not None:
            held, was_full = ended
            if was_full:
                self._shelves.enter_all()
            else:
                self._shelves.enter(held.source, requester_class(held))

    def usage(self) -> UsageSnapshot:
        """What was used lately, to be written down."""
        return self._shares.usage()

    @property
    def usage_version(self) -> int:
        """Changes with what was used."""
        return self._shares.version

    def restore_usage(self, usage: UsageSnapshot) -> None:
        """What was used before a restart; comes before what is held."""
        self._shares.recall(usage)

    @property
    def busy(self) -> int:
        """Jobs that hold a slot."""
        return len(self._shares)

    def jobs_in_slots(self, name: str) -> int:
        """Slots of a source or of a requester that has a quota."""
        return self._shares.slots(name)

    # --- who is next ----------------------------------------------------------------------------------------------

    def advance_time(self, now: float) -> None:
        """Time has passed: work rises into the class above, and what was used fades."""
        changed, self._changed = self._changed, []
        for lane in changed:
            self._settle(lane, now)
        while self._rising and self._rising[0][0] <= now:
            when, _, lane = heapq.heappop(self._rising)
            if when == lane.rises:
                self._settle(lane, now)
        if self._shares.decay(now):
            self._rising = [rising for rising in self._rising if rising[2].count]
            heapq.heapify(self._rising)
            self._shelves.sweep()
            self._shelves.enter_all()

    def peek(self, pool: Hashable) -> QueueHead | None:
        """Whose turn it is among those that the pool's runners could take; None: nobody's, or quotas are used up."""
        return self._shelves.first(pool)

    def rank(self, job_id: JobId) -> int:
        """The class that it counts as by now."""
        return self._waiting[job_id].lane.rank

    def pop_to_slot(self, job_id: JobId, now: float) -> QueuedJob:
        """The job gets a slot."""
        ticket, lane = self._waiting[job_id]
        self.mark_running(ActiveJob(job_id, ticket.source, ticket.requester, ticket.priority, now), lane.rank)
        return ticket

    # --- inside ---------------------------------------------------------------------------------------------------

    def _settle(self, lane: RequesterQueue, now: float) -> None:
        """Puts a lane into the class that its oldest job has waited for."""
        lane.is_changed = False
        if not lane.count:
            return
        while (waiting := self._waiting.get(lane.ages[0][1])) is None or waiting.ticket.since != lane.ages[0][0]:
            heapq.heappop(lane.ages)
        lane.oldest = lane.ages[0][0]
        times = [lane.oldest + times * self._rules.ageing for times in AGEING_STEPS]
        rank = max(0, lane.asker[0] - sum(now >= when for when in times))
        if rank != lane.rank:
            self._shelves.move(lane, rank)
        rises = next((when for when in times if when > now), 0.0) if rank else 0.0
        if rises and rises != lane.rises:
            heapq.heappush(self._rising, (rises, next(self._numbers), lane))
        lane.rises = rises

    def _front(self, lane: RequesterQueue) -> SortKey:
        """The first place of a lane in which something waits."""
        while True:
            place = lane.places[0]
            waiting = self._waiting.get(place[3])
            if waiting is not None and waiting.lane is lane and sort_key(waiting.ticket) == place:
                return place
            heapq.heappop(lane.places)


def restored(rules: QueuePolicy, waiting: Iterable[QueuedJob], held: Iterable[ActiveJob], now: float) -> JobQueue:
    """The order that plain data tells of."""
    order = JobQueue(rules, now)
    for one in held:
        order.mark_running(one)
    for ticket in waiting:
        order.add(ticket, now)
    return order
