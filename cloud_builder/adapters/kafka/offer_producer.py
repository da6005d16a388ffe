"""Sending where offers are among the records: those go alone, one record a batch.

A share group gives out whole batches: a runner with one free slot would get all offers that were sent together. The
topics of queues are made when something is first sent to them.
"""

from __future__ import annotations

from collections.abc import Sequence

from cloud_builder.model.topics import QUEUE
from cloud_builder.ports.broker import Broker, OutgoingRecord, PendingSend, Producer

from .connection import Connection, Options
from .producer import KafkaProducer

_UNDER_WAY = 16


class SingleRecordProducer(KafkaProducer):
    """One record a batch, several on their way: their order counts less than their speed."""

    def _options(self) -> Options:
        return {
            **super()._options(),
            "linger.ms": 0,
            "batch.num.messages": 1,
            "compression.type": "none",
            "max.in.flight.requests.per.connection": _UNDER_WAY,
        }


class RoutingProducer:
    """Fulfils ports.broker.Producer."""

    def __init__(self, broker: Broker, connection: Connection, others: Producer) -> None:
        """`others`: sends what is no offer."""
        self._broker = broker
        self._others = others
        self._offers = SingleRecordProducer(connection)
        self._made: set[str] = set()

    def post(self, records: Sequence[OutgoingRecord]) -> PendingSend:
        offers = [record for record in records if QUEUE.has(record.topic)]
        if not offers:
            return self._others.post(records)
        self._make({record.topic for record in offers} - self._made)
        others = [record for record in records if not QUEUE.has(record.topic)]
        posted = [self._others.post(others)] if others else []
        return _All([*posted, self._offers.post(offers)])

    def send(self, records: Sequence[OutgoingRecord], timeout: float) -> None:
        self.post(records).wait(timeout)

    def send_best_effort(self, record: OutgoingRecord) -> None:
        self._others.send_best_effort(record)

    def close(self, timeout: float = 5.0) -> None:
        self._others.close(timeout)
        self._offers.close(timeout)

    def _make(self, names: set[str]) -> None:
        if names:
            self._broker.ensure_topics(QUEUE.member(name.removeprefix(QUEUE.prefix)) for name in names)
            self._made |= names


class _All:
    """Fulfils ports.broker.Posted. Each part is asked, because each may have failed."""

    def __init__(self, parts: Sequence[PendingSend]) -> None:
        self._parts = parts

    def is_done(self) -> bool:
        missing = [part for part in self._parts if not part.is_done()]
        return not missing

    def wait(self, timeout: float) -> None:
        for part in self._parts:
            part.wait(timeout)
