"""Reads assigned partitions without a consumer group: the daemon stores its own positions.

librdkafka retries for ever while a broker is lost, and reports no error. This consumer detects the loss: a broker
answers a fetch at least every half second, so a longer time without any received byte means that it is gone.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from cloud_builder.model.topics import READER_GROUP
from cloud_builder.ports.broker import Partition, Record

from . import acl_errors
from .connection import Connection, Options

_SILENCE_TIMEOUT = 5.0
"""Seconds without contact until the broker counts as gone."""
_SUSPECTED_TIMEOUT = 1.0
"""The same after librdkafka reported that all brokers are down."""
_STATISTICS_INTERVAL = 0.5
_LOG = logging.getLogger("cb.kafka")


class KafkaConsumer:
    """Implements ports.broker.Consumer."""

    def __init__(
        self,
        connection: Connection,
        positions: Mapping[Partition, int],
        client: Callable[[Options], Consumer] = Consumer,
    ) -> None:
        self._connection = connection
        self._next = dict(positions)
        self._partitions = {(partition.topic, partition.number): partition for partition in positions}
        self._contact = self._polled = time.monotonic()
        self._received = 0
        self._suspected = False
        self._consumer = client(self._options())
        self._consumer.assign(
            [TopicPartition(partition.topic, partition.number, next) for partition, next in positions.items()]
        )

    def _options(self) -> Options:
        return self._connection.options(
            **{
                "group.id": READER_GROUP,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 3 if self._connection.settings.embedded else 500,
                "fetch.error.backoff.ms": 50,
                "check.crcs": False,
                "statistics.interval.ms": int(_STATISTICS_INTERVAL * 1000),
                "stats_cb": self._on_statistics,
                "error_cb": self._on_error,
            }
        )

    def poll(self, most: int, timeout: float) -> list[Record]:
        until = time.monotonic() + timeout
        while True:
            records = self._receive(most, until - time.monotonic())
            if records is None:
                return []
            if records or self._polled >= until:
                return records

    def _receive(self, most: int, timeout: float) -> list[Record] | None:
        """Returns received records (none: only the end of a partition was received); None after `timeout` seconds.

        Waits for one message, and takes the others that were received with it. Waiting for more would cost a
        time-out."""
        now = time.monotonic()
        if now - self._polled > _STATISTICS_INTERVAL:
            self._contact = now
        first = self._consumer.poll(max(0.0, timeout))
        self._polled = time.monotonic()
        if first is None:
            self._check_contact()
            return None
        rest = self._consumer.consume(most - 1, 0) if most > 1 else []
        self._note_contact()
        return self._records([first, *rest])

    def is_at_end(self) -> bool:
        return all(self._is_read(partition) for partition in self._next)

    def close(self) -> None:
        self._consumer.close()

    def _records(self, messages: Iterable[Message]) -> list[Record]:
        records = []
        for message in messages:
            if (error := message.error()) is not None:
                self._on_message_error(error, message)
            else:
                partition = self._partitions[str(message.topic()), int(message.partition() or 0)]
                record = record_of(partition, message)
                self._next[partition] = record.offset + 1
                records.append(record)
        return records

    def _on_message_error(self, error: KafkaError, message: Message) -> None:
        """Handles an error that came instead of a record.

        An error without a partition is about the consumer group. It is ignored, because no group is used: not even
        the right to use it matters."""
        partition = self._partitions.get((str(message.topic()), int(message.partition() or 0)))
        if partition is None:
            _LOG.debug("error without a partition: %s", error)
        elif error.code() == KafkaError._PARTITION_EOF:
            self._next[partition] = int(message.offset() or 0)
        elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise acl_errors.missing_acl(
                self._connection.settings, acl_errors.READ, acl_errors.TOPIC, [partition.topic]
            )
        else:
            self._connection.note(error)

    def _is_read(self, partition: Partition) -> bool:
        """Compares the position with the watermark of the last fetch, which is below 0 before the first fetch."""
        try:
            _, end = self._consumer.get_watermark_offsets(
                TopicPartition(partition.topic, partition.number), cached=True
            )
        except KafkaException:
            return False
        return 0 <= end <= self._next[partition]

    # --- contact with the broker ------------------------------------------------------------------------------

    def _note_contact(self) -> None:
        self._contact = self._polled
        self._suspected = False

    def _check_contact(self) -> None:
        """Raises Retryable if nothing was received for too long."""
        silence = self._polled - self._contact
        if silence > (_SUSPECTED_TIMEOUT if self._suspected else _SILENCE_TIMEOUT):
            raise self._connection.unreachable()

    def _on_error(self, error: KafkaError) -> None:
        self._connection.note(error)
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._suspected = True

    def _on_statistics(self, text: str) -> None:
        received = sum(broker["rxbytes"] for broker in json.loads(text)["brokers"].values())
        if received > self._received:
            self._received = received
            self._contact = time.monotonic()
            self._suspected = False


def record_of(partition: Partition, message: Message) -> Record:
    """Returns a message as the port's record."""
    found = cast("list[tuple[str, bytes]]", message.headers() or [])
    headers = tuple(found) if all(value for _, value in found) else tuple((name, value or b"") for name, value in found)
    _, milliseconds = message.timestamp()
    return Record(partition, int(message.offset() or 0), message.key(), message.value(), headers, milliseconds / 1000)
