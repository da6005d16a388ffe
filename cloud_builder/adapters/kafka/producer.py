"""Sending: acknowledged by all in-sync replicas, in order.

One request at a time keeps the order when librdkafka tries again; a message may then come twice, which readers expect
and find out by the event's id. The idempotent producer would cost each new client half a second, and one more right.

A producer that could not deliver in time is thrown away with what it still holds: the caller sends again, and nothing
of the first try may come after that.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Lock

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from cloud_builder.errors import Rejected, Retryable
from cloud_builder.ports.broker import Outgoing

from .connection import LARGEST_MESSAGE, Connection, Options

_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_RECORD})
_ROOM_WAIT = 0.05


class KafkaProducer:
    """Fulfils ports.broker.Producer. Sends at once when flushed: `linger.ms` concerns only live records."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = Lock()
        self._producer = self._new()

    def _new(self) -> Producer:
        return Producer(self._options())

    def _options(self) -> Options:
        return self._connection.options(
            **{
                "acks": "all",
                "max.in.flight.requests.per.connection": 1,
                "compression.type": "lz4",
                "linger.ms": 5,
                "message.max.bytes": LARGEST_MESSAGE,
                "message.timeout.ms": 60_000,
                "partitioner": "murmur2_random",
                "allow.auto.create.topics": self._connection.settings.embedded,
            }
        )

    def send(self, records: Sequence[Outgoing], timeout: float) -> None:
        """Rejected when the broker will never take one of them (too large)."""
        delivery = _Delivery()
        until = time.monotonic() + timeout
        with self._sending:
            try:
                for record in records:
                    self._put(record, delivery, until)
                self._producer.flush(max(0.0, until - time.monotonic()))
            except KafkaException as error:
                delivery.failed = delivery.failed or error.args[0]
            if delivery.failed or delivery.arrived < len(records):
                self._start_afresh()
                raise self._explain(delivery)

    def send_soon(self, record: Outgoing) -> None:
        try:
            self._producer.produce(record.topic, record.value, record.key, headers=_headers(record))
            self._producer.poll(0)
        except (BufferError, KafkaException):
            return

    def close(self, timeout: float = 5.0) -> None:
        with self._sending:
            if self._producer.flush(timeout):
                self._producer.purge()

    def _put(self, record: Outgoing, delivery: _Delivery, until: float) -> None:
        headers = _headers(record)
        while True:
            try:
                self._producer.produce(record.topic, record.value, record.key, headers=headers, on_delivery=delivery)
                return
            except BufferError:
                self._producer.poll(_ROOM_WAIT)
                if time.monotonic() > until:
                    raise self._connection.unreachable() from None

    def _start_afresh(self) -> None:
        self._producer.purge()
        self._producer.poll(0)
        self._producer = self._new()

    def _explain(self, delivery: _Delivery) -> Retryable | Rejected:
        error = delivery.failed
        if error is not None and error.code() in _TOO_LARGE:
            return Rejected(f"message refused by the broker: {error.str()}", code="message-refused")
        return self._connection.unreachable(error)


class _Delivery:
    """Counts what has arrived, and keeps the first failure."""

    def __init__(self) -> None:
        self.arrived = 0
        self.failed: KafkaError | None = None

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.arrived += 1
        else:
            self.failed = self.failed or error


def _headers(record: Outgoing) -> list[tuple[str, str | bytes | None]]:
    return list(record.headers)
