"""Sends records among which are offers: each offer in a batch of its own.

A share group delivers whole batches: a runner with one free slot would get all offers of a batch. The topic of a queue
is created before the first offer is sent to it.
"""

from __future__ import annotations

from collections.abc import Sequence

from cloud_builder.model.topics import QUEUE
from cloud_builder.ports.broker import Broker, OutgoingRecord, PendingSend, Producer

from .connection import Connection, Options
from .producer import KafkaProducer

_MAX_IN_FLIGHT = 16


class SingleRecordProducer(KafkaProducer):
    """A producer with one record a batch and several requests in flight: speed matters more than order."""

    def _options(self) -> Options:
        return {
            **super()._options(),
            "linger.ms": 0,
            "batch.num.messages": 1,
            "compression.type": "none",
            "max.in.flight.requests.per.connection": _MAX_IN_FLIGHT,
        }


class RoutingProducer:
    """Implements ports.broker.Producer: offers go to one producer, the other records to another."""

    def __init__(self, broker: Broker, connection: Connection, others: Producer) -> None:
        """Makes the producer of offers. `others`: the producer of all other records."""
        self._broker = broker
        self._others = others
        self._offers = SingleRecordProducer(connection)
        self._created: set[str] = set()

    def post(self, records: Sequence[OutgoingRecord]) -> PendingSend:
        offers = [record for record in records if QUEUE.has(record.topic)]
        if not offers:
            return self._others.post(records)
        self._create({record.topic for record in offers} - self._created)
        others = [record for record in records if not QUEUE.has(record.topic)]
        pending = [self._others.post(others)] if others else []
        return _CombinedSend([*pending, self._offers.post(offers)])

    def send(self, records: Sequence[OutgoingRecord], timeout: float) -> None:
        self.post(records).wait(timeout)

    def send_best_effort(self, record: OutgoingRecord) -> None:
        self._others.send_best_effort(record)

    def close(self, timeout: float = 5.0) -> None:
        self._others.close(timeout)
        self._offers.close(timeout)

    def _create(self, names: set[str]) -> None:
        if names:
            self._broker.ensure_topics(QUEUE.member(name.removeprefix(QUEUE.prefix)) for name in names)
            self._created |= names


class _CombinedSend:
    """Implements ports.broker.PendingSend for several sends. Each part is checked, because each may have failed."""

    def __init__(self, parts: Sequence[PendingSend]) -> None:
        self._parts = parts

    def is_done(self) -> bool:
        missing = [part for part in self._parts if not part.is_done()]
        return not missing

    def wait(self, timeout: float) -> None:
        for part in self._parts:
            part.wait(timeout)
