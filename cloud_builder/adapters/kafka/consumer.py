"""Reading fixed partitions, without a consumer group: positions are the daemon's own.

librdkafka hides a lost broker behind endless patience. Here it shows: a fetch is answered at least every half second,
so when nothing at all has come in for a while, the broker is gone.
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

_SILENCE = 5.0
_SILENCE_WHEN_SUSPECTED = 1.0
_STATISTICS_EVERY = 0.5
_LOG = logging.getLogger("cb.kafka")


class KafkaConsumer:
    """Fulfils ports.broker.Consumer."""

    def __init__(
        self,
        connection: Connection,
        positions: Mapping[Partition, int],
        client: Callable[[Options], Consumer] = Consumer,
    ) -> None:
        self._connection = connection
        self._next = dict(positions)
        self._partitions = {(place.topic, place.number): place for place in positions}
        self._contact = self._polled = time.monotonic()
        self._received = 0
        self._suspected = False
        self._consumer = client(self._options())
        self._consumer.assign([TopicPartition(place.topic, place.number, next) for place, next in positions.items()])

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
                "statistics.interval.ms": int(_STATISTICS_EVERY * 1000),
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
        """What comes first, be it only the end of a partition; None: nothing within `timeout` seconds.

        One message is waited for; the others are those that came with it. Waiting for more would cost a time-out."""
        now = time.monotonic()
        if now - self._polled > _STATISTICS_EVERY:
            self._contact = now
        first = self._consumer.poll(max(0.0, timeout))
        self._polled = time.monotonic()
        if first is None:
            self._probe_broker()
            return None
        rest = self._consumer.consume(most - 1, 0) if most > 1 else []
        self._alive()
        return self._records([first, *rest])

    def is_at_end(self) -> bool:
        return all(self._is_read(place) for place in self._next)

    def close(self) -> None:
        self._consumer.close()

    def _records(self, messages: Iterable[Message]) -> list[Record]:
        records = []
        for message in messages:
            if (error := message.error()) is not None:
                self._on_message_error(error, message)
            else:
                place = self._partitions[str(message.topic()), int(message.partition() or 0)]
                record = record_of(place, message)
                self._next[place] = record.offset + 1
                records.append(record)
        return records

    def _on_message_error(self, error: KafkaError, message: Message) -> None:
        """An error without a partition is of the group, which we do not use: whether we might is all the same."""
        place = self._partitions.get((str(message.topic()), int(message.partition() or 0)))
        if place is None:
            _LOG.debug("of no partition: %s", error)
        elif error.code() == KafkaError._PARTITION_EOF:
            self._next[place] = int(message.offset() or 0)
        elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            raise acl_errors.missing_acl(self._connection.settings, acl_errors.READ, acl_errors.TOPIC, [place.topic])
        else:
            self._connection.note(error)

    def _is_read(self, place: Partition) -> bool:
        """The watermark that came with the last fetch; below 0 before there was one."""
        try:
            _, end = self._consumer.get_watermark_offsets(TopicPartition(place.topic, place.number), cached=True)
        except KafkaException:
            return False
        return 0 <= end <= self._next[place]

    # --- is the broker there? ---------------------------------------------------------------------------------

    def _alive(self) -> None:
        self._contact = self._polled
        self._suspected = False

    def _probe_broker(self) -> None:
        silence = self._polled - self._contact
        if silence > (_SILENCE_WHEN_SUSPECTED if self._suspected else _SILENCE):
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


def record_of(place: Partition, message: Message) -> Record:
    """As the port has it."""
    found = cast("list[tuple[str, bytes]]", message.headers() or [])
    headers = tuple(found) if all(value for _, value in found) else tuple((name, value or b"") for name, value in found)
    _, milliseconds = message.timestamp()
    return Record(place, int(message.offset() or 0), message.key(), message.value(), headers, milliseconds / 1000)
