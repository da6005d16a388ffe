"""The port OfferQueue inside one process: what a share group of Kafka does, over the broker in memory.

A `MemoryGroup` stands for the group as the broker keeps it; each `MemoryOfferQueue` is a member. A member that is
killed (`lost`), or closed, gives back what it has not acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from cloud_builder.errors import Retryable
from cloud_builder.model.events import JobOffered
from cloud_builder.model.topics import QUEUE
from cloud_builder.ports.broker import Partition, Record
from cloud_builder.ports.queue import TakenOffer

from .broker import MemoryBroker

Handle = tuple[str, int]
"""A topic and an offset in its one partition."""


class MemoryGroup:
    """What the members of the group have been given. `read`: the offer in a record."""

    def __init__(self, broker: MemoryBroker, read: Callable[[Record], JobOffered | None]) -> None:
        self.broker = broker
        self.read = read
        self._next: dict[str, int] = {}
        self._returned: list[Handle] = []
        self._held: dict[Handle, MemoryOfferQueue] = {}

    def give(self, member: MemoryOfferQueue, topics: Sequence[str], most: int) -> list[TakenOffer]:
        """The oldest offers of these topics that nobody has."""
        with self.broker.changed:
            found: list[TakenOffer] = []
            for place in self._free(topics):
                if len(found) >= most:
                    break
                offer = self.read(self.broker.logs[Partition(place[0], 0)][place[1]])
                self._claimed(place)
                if offer is not None:
                    self._held[place] = member
                    found.append(TakenOffer(offer, place))
            return found

    def acknowledged(self, member: MemoryOfferQueue, place: Handle) -> None:
        if self._held.get(place) is member:
            del self._held[place]

    def lost(self, member: MemoryOfferQueue) -> None:
        """It is gone, whatever the reason."""
        back = [place for place, holder in self._held.items() if holder is member]
        for place in back:
            del self._held[place]
        self._returned = sorted({*self._returned, *back})

    def _free(self, topics: Sequence[str]) -> list[Handle]:
        back = [place for place in self._returned if place[0] in topics]
        fresh = [
            (topic, offset)
            for topic in topics
            for offset in range(self._next.get(topic, 0), len(self.broker.logs.get(Partition(topic, 0), ())))
        ]
        return back + fresh

    def _claimed(self, place: Handle) -> None:
        if place in self._returned:
            self._returned.remove(place)
        else:
            self._next[place[0]] = place[1] + 1


class MemoryOfferQueue:
    """Fulfils ports.queue.OfferQueue; what is there has come at once."""

    def __init__(self, group: MemoryGroup, names: Sequence[str]) -> None:
        self._group = group
        self.names = tuple(names)
        self._topics = [QUEUE.member(name).name for name in names]
        self._closed = False

    @property
    def has_offers(self) -> bool:
        return False

    def take(self, most: int) -> list[TakenOffer]:
        if self._closed or most <= 0:
            return []
        try:
            self._group.broker.reach()
        except Retryable:
            return []
        return self._group.give(self, self._topics, most)

    def acknowledge(self, taken: Iterable[TakenOffer]) -> None:
        for one in taken:
            self._group.acknowledged(self, one.handle)  # type: ignore[arg-type]

    def close(self) -> None:
        self._closed = True
        self._group.lost(self)
