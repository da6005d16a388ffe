"""The port `OfferQueue` in one process: does what a share group of Kafka does, over the broker in memory.

A `MemoryGroup` is the group as the broker keeps it; each `MemoryOfferQueue` is a member. When a member is killed
(`lost`) or closed, its offers that were not acknowledged return to the group.
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
"""A delivery: a topic, and an offset in its one partition."""


class MemoryGroup:
    """A share group: the offers delivered to its members. `read`: returns the offer in a record, or None."""

    def __init__(self, broker: MemoryBroker, read: Callable[[Record], JobOffered | None]) -> None:
        self.broker = broker
        self.read = read
        self._next: dict[str, int] = {}
        self._returned: list[Handle] = []
        self._delivered: dict[Handle, MemoryOfferQueue] = {}

    def give(self, member: MemoryOfferQueue, topics: Sequence[str], most: int) -> list[TakenOffer]:
        """Delivers the oldest offers of these topics that no member has, at most `most`."""
        with self.broker.changed:
            found: list[TakenOffer] = []
            for handle in self._available(topics):
                if len(found) >= most:
                    break
                topic, offset = handle
                offer = self.read(self.broker.logs[Partition(topic, 0)][offset])
                self._deliver(handle)
                if offer is not None:
                    self._delivered[handle] = member
                    found.append(TakenOffer(offer, handle))
            return found

    def acknowledged(self, member: MemoryOfferQueue, handle: Handle) -> None:
        """Ends a delivery: no member gets the offer again."""
        if self._delivered.get(handle) is member:
            del self._delivered[handle]

    def lost(self, member: MemoryOfferQueue) -> None:
        """Returns a lost or closed member's offers to the group."""
        returned = [handle for handle, holder in self._delivered.items() if holder is member]
        for handle in returned:
            del self._delivered[handle]
        self._returned = sorted({*self._returned, *returned})

    def _available(self, topics: Sequence[str]) -> list[Handle]:
        returned = [handle for handle in self._returned if handle[0] in topics]
        new = [
            (topic, offset)
            for topic in topics
            for offset in range(self._next.get(topic, 0), len(self.broker.logs.get(Partition(topic, 0), ())))
        ]
        return returned + new

    def _deliver(self, handle: Handle) -> None:
        if handle in self._returned:
            self._returned.remove(handle)
        else:
            topic, offset = handle
            self._next[topic] = offset + 1


class MemoryOfferQueue:
    """Implements ports.queue.OfferQueue. Offers are delivered by `take` itself, without a delay."""

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
        for offer in taken:
            self._group.acknowledged(self, offer.handle)  # type: ignore[arg-type]

    def close(self) -> None:
        self._closed = True
        self._group.lost(self)
