"""Sending: acknowledged by all in-sync replicas, in order.

One request at a time keeps the order when librdkafka tries again; a message may then come twice, which readers expect
and find out by the event's id. The idempotent producer would cost each new client half a second, and one more right.

A producer that could not deliver in time is thrown away with what it still holds: the caller sends again, and nothing
of the first try may come after that.
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
from .connection import LARGEST_MESSAGE, Connection, Options

TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_RECORD})
_ROOM_WAIT = 0.05
_FEW = 50
"""Records of a post for which somebody may be waiting."""
_POST_WAIT = 2.0
"""Seconds that a post waits for room."""
_LOG = logging.getLogger("cb.kafka")


class KafkaProducer:
    """Fulfils ports.broker.Producer. A few records leave at once, as a flush makes them; many are worth some
    milliseconds more for larger batches."""

    _flush_timeout = 0.001
    """Seconds: a flush of no time at all wakes nobody."""

    def __init__(self, connection: Connection, client: Callable[[Options], Producer] = Producer) -> None:
        self._connection, self._client = connection, client
        self._sending = Lock()
        self._said_refused = False
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
                "message.max.bytes": LARGEST_MESSAGE,
                "message.timeout.ms": 60_000,
                "partitioner": "consistent_random",
                "allow.auto.create.topics": self._connection.settings.embedded,
            }
        )

    def post(self, records: Sequence[OutgoingRecord]) -> PendingSend:
        return self._hand_over(records)

    def _hand_over(self, records: Sequence[OutgoingRecord]) -> KafkaPosted:
        with self._sending:
            posted = KafkaPosted(self, self._producer, len(records))
            until = time.monotonic() + _POST_WAIT
            try:
                for record in records:
                    if not hand_over(self._producer, record, posted.on_delivery, until):
                        self._start_afresh()
                        raise self._connection.unreachable()
            except KafkaException as error:
                posted.fail(error.args[0], record.topic)
            self._producer.flush(self._flush_timeout) if len(records) <= _FEW else self._producer.poll(0)
            return posted

    def send(self, records: Sequence[OutgoingRecord], timeout: float) -> None:
        """Rejected when the broker will never take one of them (too large)."""
        self.post(records).wait(timeout)

    def send_best_effort(self, record: OutgoingRecord) -> None:
        try:
            headers: list[tuple[str, str | bytes | None]] = list(record.headers)
            self._producer.produce(record.topic, record.value, record.key, headers=headers, on_delivery=self._hear_soon)
            self._producer.poll(0)
        except (BufferError, KafkaException):
            return

    def _hear_soon(self, error: KafkaError | None, message: Message) -> None:
        """Nobody waits for it; but that it will never arrive is said, once."""
        if error is not None and error.code() in acl_errors.REFUSED and not self._said_refused:
            self._said_refused = True
            lack = acl_errors.missing_acl(
                self._connection.settings, acl_errors.WRITE, acl_errors.TOPIC, [str(message.topic())]
            )
            _LOG.error("nothing of this is sent", extra={"reason": lack.message, "hint": lack.hint})

    def close(self, timeout: float = 5.0) -> None:
        with self._sending:
            if self._producer.flush(timeout):
                self._producer.purge()

    def abandon(self, posted: KafkaPosted) -> Retryable | Rejected:
        """Nothing of what is under way arrives after this. The reason, to be raised."""
        with self._sending:
            if posted.producer is self._producer:
                self._start_afresh()
        error = posted.failed
        if error is not None and error.code() in acl_errors.REFUSED:
            return acl_errors.missing_acl(
                self._connection.settings, acl_errors.WRITE, acl_errors.TOPIC, [posted.failed_on]
            )
        if error is not None and error.code() in TOO_LARGE:
            return Rejected(f"message refused by the broker: {error.str()}", code="message-refused")
        return self._connection.unreachable(error)

    def _start_afresh(self) -> None:
        self._producer.purge()
        self._producer.poll(0)
        self._producer = self._new()


class KafkaPosted:
    """Fulfils ports.broker.Posted: counts what has arrived, and keeps the first failure."""

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
        """As far as the broker's answers were read."""
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


def hand_over(
    client: Producer, record: OutgoingRecord, hear: Callable[[KafkaError | None, Message], None], until: float
) -> bool:
    """Gives a record to the client, which waits for room in it; False: there was none until then (monotonic time)."""
    headers: list[tuple[str, str | bytes | None]] = list(record.headers)
    while True:
        try:
            client.produce(record.topic, record.value, record.key, headers=headers, on_delivery=hear)
            return True
        except BufferError:
            client.poll(_ROOM_WAIT)
            if time.monotonic() > until:
                return False
