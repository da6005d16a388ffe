"""A share group of Kafka (KIP-932) as the port OfferQueue: the broker gives each record to one member of the group.

A member that asks for n records gets up to n, which it must acknowledge before it may ask again; when it dies, what it
had goes to others at once. How many it asks for is fixed for its life, so a runner with many slots has several of them
(lanes), the largest of which is used that fits. Nothing is ever released as not wanted: a record that came back five
times is given up by the broker.

Exactly n records come only where each lies in a batch of its own: see `offers`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from threading import Condition

from cloud_builder.model.events import JobOffered
from cloud_builder.model.settings import BrokerSettings
from cloud_builder.ports.broker import Record
from cloud_builder.ports.queue import TakenOffer

from .share_consumer import DeliveryHandle, ShareConsumerThread

FETCH_SIZES = (16, 4, 1)
"""How many offers each asks for at a time."""
_CLOSED_WITHIN = 1.0

Read = Callable[[Record], JobOffered | None]


class KafkaOfferQueue:
    """Fulfils ports.queue.OfferQueue. `read`: the offer in a record; None: there is none, the record is thrown away.

    `slots`: of the runner. The lanes are threads that connect at the first `take`."""

    def __init__(self, settings: BrokerSettings, names: Sequence[str], read: Read, slots: int) -> None:
        self._names = tuple(names)
        self._changed = Condition()
        self._come: list[TakenOffer] = []
        sizes = [size for size in FETCH_SIZES if size <= slots]
        self._lanes = [
            ShareConsumerThread(settings, self._names, size=size, read=read, changed=self._changed, come=self._come)
            for size in sizes
        ]

    @property
    def names(self) -> tuple[str, ...]:
        return () if any(lane.trouble for lane in self._lanes) else self._names

    @property
    def has_offers(self) -> bool:
        return bool(self._come)

    def take(self, most: int) -> list[TakenOffer]:
        with self._changed:
            found = self._come[:]
            self._come.clear()
            left = most - len(found) - sum(lane.asked for lane in self._lanes)
            for lane in self._lanes:
                lane.start()
                if lane.is_idle and lane.size <= left:
                    lane.ask()
                    left -= lane.size
            return found

    def acknowledge(self, taken: Iterable[TakenOffer]) -> None:
        with self._changed:
            for one in taken:
                assert isinstance(one.handle, DeliveryHandle)
                one.handle.lane.acknowledge(one.handle.message)

    def close(self) -> None:
        """A lane that does not come to its end, because its broker is away, ends with the process."""
        with self._changed:
            for lane in self._lanes:
                lane.end()
        until = time.monotonic() + _CLOSED_WITHIN
        for lane in self._lanes:
            lane.join(max(0.0, until - time.monotonic()))
