"""Sends records, in order, acknowledged by all in-sync replicas.

One request in flight keeps the order when librdkafka retries. A message may then arrive twice, which readers expect and
detect by the event's id. The idempotent producer would cost each new client half a second, and one more ACL.

A client that could not deliver in time is discarded with its queued records. The caller sends them again, and nothing
of the first attempt may arrive after that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from threading import Lock

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from cloud_builder.errors import Rejected, Retryable
from cloud_builder.ports.broker import OutgoingRecord, PendingSend

from . import acl_errors
from .connection import MAX_MESSAGE_BYTES, Connection, Options

TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_RECORD})
_BUFFER_WAIT = 0.05
"""Seconds between two attempts to queue a record in a full buffer."""
_MAX_FLUSHED = 50
"""Records. A post of up to so many is flushed at once, because a person may be waiting for it."""
_POST_TIMEOUT = 2.0
"""Seconds that a post waits for room in the buffer."""
_LOG = logging.getLogger("cb.kafka")


class KafkaProducer:
    """Implements ports.broker.Producer.

    A post of few records is flushed, so that they are sent at once. Many records wait some milliseconds (`linger.ms`)
    for larger batches."""

    _flush_timeout = 0.001
    """Seconds. A flush with a time-out of 0 would not wake librdkafka's thread."""

    def __init__(self, connection: Connection, client: Callable[[Options], Producer] = Producer) -> None:
        self._connection, self._client = connection, client
        self._sending = Lock()
        self._refusal_logged = False
        self._producer = self._new()

    def _new(self) -> Producer:
        return self._client(self._options())

    def _options(self) -> Options:
        return self._connection.options(
            **{
                "acks": "all",
                "max.in.flight.requests.per.connection": 1,
                "compression.type": "lz4",
                "linger.ms": 5,
                "message.max.bytes": MAX_MESSAGE_BYTES,
                "message.timeout.ms": 60_000,
                "partitioner": "consistent_random",
                "allow.auto.create.topics": self._connection.settings.embedded,
            }
        )

    def post(self, records: Sequence[OutgoingRecord]) -> PendingSend:
        return self._enqueue(records)

    def _enqueue(self, records: Sequence[OutgoingRecord]) -> KafkaPendingSend:
        with self._sending:
            pending = KafkaPendingSend(self, self._producer, len(records))
            until = time.monotonic() + _POST_TIMEOUT
            try:
                for record in records:
                    if not enqueue(self._producer, record, pending.on_delivery, until):
                        self._replace_client()
                        raise self._connection.unreachable()
            except KafkaException as error:
                pending.fail(error.args[0], record.topic)
            self._producer.flush(self._flush_timeout) if len(records) <= _MAX_FLUSHED else self._producer.poll(0)
            return pending

    def send(self, records: Sequence[OutgoingRecord], timeout: float) -> None:
        """Sends as the port says. Raises Rejected if a record is too large for the broker."""
        self.post(records).wait(timeout)

    def send_best_effort(self, record: OutgoingRecord) -> None:
        try:
            headers: list[tuple[str, str | bytes | None]] = list(record.headers)
            on_delivery = self._on_best_effort
            self._producer.produce(record.topic, record.value, record.key, headers=headers, on_delivery=on_delivery)
            self._producer.poll(0)
        except (BufferError, KafkaException):
            return

    def _on_best_effort(self, error: KafkaError | None, message: Message) -> None:
        """Logs once that an ACL is missing: without it no such record will ever arrive."""
        if error is not None and error.code() in acl_errors.REFUSED and not self._refusal_logged:
            self._refusal_logged = True
            missing = acl_errors.missing_acl(
                self._connection.settings, acl_errors.WRITE, acl_errors.TOPIC, [str(message.topic())]
            )
            _LOG.error("live records are not sent", extra={"reason": missing.message, "hint": missing.hint})

    def close(self, timeout: float = 5.0) -> None:
        with self._sending:
            if self._producer.flush(timeout):
                self._producer.purge()

    def abandon(self, pending: KafkaPendingSend) -> Retryable | Rejected:
        """Discards all records in flight: none of them arrives after this. Returns the error to raise."""
        with self._sending:
            if pending.producer is self._producer:
                self._replace_client()
        error = pending.failed
        if error is not None and error.code() in acl_errors.REFUSED:
            return acl_errors.missing_acl(
                self._connection.settings, acl_errors.WRITE, acl_errors.TOPIC, [pending.failed_on]
            )
        if error is not None and error.code() in TOO_LARGE:
            return Rejected(f"message refused by the broker: {error.str()}", code="message-refused")
        return self._connection.unreachable(error)

    def _replace_client(self) -> None:
        self._producer.purge()
        self._producer.poll(0)
        self._producer = self._new()


class KafkaPendingSend:
    """Implements ports.broker.PendingSend: counts arrived records, and keeps the first failure."""

    def __init__(self, owner: KafkaProducer, producer: Producer, number: int) -> None:
        self.producer = producer
        self.failed: KafkaError | None = None
        self.failed_on = ""
        self._owner = owner
        self._missing = number

    def on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._missing -= 1
        else:
            self.fail(error, str(message.topic()))

    def fail(self, error: KafkaError, topic: str) -> None:
        if self.failed is None:
            self.failed, self.failed_on = error, topic

    @property
    def is_delivered(self) -> bool:
        """True if all records arrived, according to the answers of the broker that were read so far."""
        return not self._missing and not self.failed

    def is_done(self) -> bool:
        self.producer.poll(0)
        if self.failed:
            raise self._owner.abandon(self)
        return not self._missing

    def wait(self, timeout: float) -> None:
        if self._missing and not self.failed:
            self.producer.flush(timeout)
        if not self.is_done():
            raise self._owner.abandon(self)


def enqueue(
    client: Producer, record: OutgoingRecord, on_delivery: Callable[[KafkaError | None, Message], None], until: float
) -> bool:
    """Queues a record in the client. Waits for room in its buffer; False: none until `until` (monotonic time)."""
    headers: list[tuple[str, str | bytes | None]] = list(record.headers)
    while True:
        try:
            client.produce(record.topic, record.value, record.key, headers=headers, on_delivery=on_delivery)
            return True
        except BufferError:
            client.poll(_BUFFER_WAIT)
            if time.monotonic() > until:
                return False
