"""The port OfferQueue over a Kafka share group (KIP-932): the broker delivers each record to one member of the group.

    scheduler ──offer──► cb.queue.<pool> ──delivery──► one member: a runner's share consumer
    runner    ──claim──► scheduler
    runner    ──acknowledge──► share group, once the claim is committed
    scheduler ──grant, as an ordinary assignment──► runner

A member that fetches n records gets up to n, and must acknowledge them before it fetches again. When a member ends, its
records go to other members at once. The number of records to fetch is fixed for a member's lifetime, so a runner has
members of several sizes and uses the largest that fits its free slots. No record is released back to the group: after
five deliveries the broker gives a record up.

A fetch returns exactly n records only if each record is in a batch of its own: see offer_producer.
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
"""Records that each member fetches at a time."""
_CLOSE_TIMEOUT = 1.0

Read = Callable[[Record], JobOffered | None]


class KafkaOfferQueue:
    """Implements ports.queue.OfferQueue.

    `read`: returns the offer in a record; None: there is none, and the record is discarded.
    `slots`: the runner's number of slots. The members are threads that connect at the first `take`."""

    def __init__(self, settings: BrokerSettings, names: Sequence[str], read: Read, slots: int) -> None:
        self._names = tuple(names)
        self._changed = Condition()
        self._received: list[TakenOffer] = []
        sizes = [size for size in FETCH_SIZES if size <= slots]
        self._members = [
            ShareConsumerThread(
                settings, self._names, size=size, read=read, changed=self._changed, received=self._received
            )
            for size in sizes
        ]

    @property
    def names(self) -> tuple[str, ...]:
        return () if any(member.error for member in self._members) else self._names

    @property
    def has_offers(self) -> bool:
        return bool(self._received)

    def take(self, most: int) -> list[TakenOffer]:
        with self._changed:
            found = self._received[:]
            self._received.clear()
            left = most - len(found) - sum(member.requested for member in self._members)
            for member in self._members:
                member.start()
                if member.is_idle and member.size <= left:
                    member.fetch()
                    left -= member.size
            return found

    def acknowledge(self, taken: Iterable[TakenOffer]) -> None:
        with self._changed:
            for offer in taken:
                assert isinstance(offer.handle, DeliveryHandle)
                offer.handle.member.acknowledge(offer.handle.message)

    def close(self) -> None:
        """Ends the members. One that does not end in time, because its broker is gone, ends with the process."""
        with self._changed:
            for member in self._members:
                member.end()
        until = time.monotonic() + _CLOSE_TIMEOUT
        for member in self._members:
            member.join(max(0.0, until - time.monotonic()))
