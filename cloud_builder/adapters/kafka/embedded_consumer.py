"""Reads from the embedded broker: asleep while nothing is sent, and awake within a millisecond after a send.

The embedded broker answers a fetch when the fetch's time is over, not when a record arrives. Short fetches, one after
the other, find a record soon, but cost 2–4 % of a core for each reader. A reader therefore pauses its partitions, which
stops the fetches, and waits at its wake socket:

    awake ──the end of each partition was seen──► asleep ──datagram, or the check is due──► awake

`EmbeddedProducer` sends the datagrams. Other programs send none: the next check finds their records. Readers of topics
that clients write check more often.

Each wake-up is one fetch. It costs 0.6 ms of processor time here, and 0.2 ms in the broker.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from cloud_builder.model.role import Role
from cloud_builder.model.topics import TOPICS
from cloud_builder.ports.broker import Partition, Record

from .connection import Connection, Options
from .consumer import KafkaConsumer
from .wake_socket import WakeSocket

CHECK_INTERVAL = 1.0
"""Seconds between two checks of topics that only daemons write."""
CLIENT_CHECK_INTERVAL = 0.25
_STAY_AWAKE = 0.02
"""Seconds after a datagram during which the reader does not sleep: a posted record that the broker has not confirmed
arrives in this time."""
_START_INTERVAL = 0.015
"""Seconds until a fetch is started again if no end of a partition was seen: an answer takes 4 ms."""
_START_TIMEOUT = 1.0
_CLIENT_TOPICS = frozenset(topic.name for topic in TOPICS if topic.writer is Role.CLIENT)


class EmbeddedConsumer(KafkaConsumer):
    """Implements ports.broker.Consumer. The consumer closes the wake socket."""

    def __init__(self, connection: Connection, positions: Mapping[Partition, int], wake: WakeSocket) -> None:
        super().__init__(connection, positions)
        self._wake = wake
        is_for_clients = any(partition.topic in _CLIENT_TOPICS for partition in positions)
        self.check_interval = CLIENT_CHECK_INTERVAL if is_for_clients else CHECK_INTERVAL
        self._all = [TopicPartition(partition.topic, partition.number) for partition in positions]
        self._ended: set[Partition] = set()
        """Partitions whose end was seen since the last wake-up."""
        self.is_asleep = False
        self._awake_until = 0.0
        self._next_check = 0.0
        self._next_start = time.monotonic() + _START_INTERVAL

    def _options(self) -> Options:
        """Turns statistics off: the end of a partition, seen after each fetch, shows contact with the broker."""
        return {**super()._options(), "statistics.interval.ms": 0}

    def poll(self, most: int, timeout: float) -> list[Record]:
        until = time.monotonic() + timeout
        while True:
            if self.is_asleep and not self._wait(until):
                return []
            if records := self._receive(most, self._awake_for(until)):
                return records
            self._fall_asleep()
            if time.monotonic() >= until:
                return []

    def close(self) -> None:
        super().close()
        self._wake.close()

    def _wait(self, until: float) -> bool:
        """Waits for a datagram, the next check or `until`. Returns True if the reader is awake."""
        was_woken = self._wake.wait(min(until, self._next_check) - time.monotonic())
        now = time.monotonic()
        if was_woken:
            self._awake_until = now + _STAY_AWAKE
        if was_woken or now >= self._next_check:
            self._wake_up(now)
        return not self.is_asleep

    def _awake_for(self, until: float) -> float:
        """Returns the seconds to wait for records before the next action is due.

        At least a millisecond, because librdkafka does not wait for less."""
        end = min(until, self._awake_until if self._is_read_to_end() else self._next_start)
        return max(0.001, end - time.monotonic())

    def _wake_up(self, now: float) -> None:
        self.is_asleep = False
        self._ended.clear()
        self._contact = self._polled = now
        self._consumer.resume(self._all)
        self._start_fetch()

    def _start_fetch(self) -> None:
        """Makes librdkafka fetch from the resumed partitions now.

        Its thread notices resumed partitions only when it has work to do, or after up to a second. A query for an
        offset, whose result is not used, gives it work."""
        self._next_start = time.monotonic() + _START_INTERVAL
        try:
            self._consumer.get_watermark_offsets(self._all[0], _START_TIMEOUT, cached=False)
        except KafkaException as error:
            self._connection.note(error.args[0])

    def _fall_asleep(self) -> None:
        """Falls asleep, unless records may be on their way, or the end of a partition was not seen yet."""
        now = time.monotonic()
        if self._wake.was_woken():
            self._awake_until = now + _STAY_AWAKE
        if not self._is_read_to_end():
            if now >= self._next_start:
                self._start_fetch()
        elif now >= self._awake_until:
            self._consumer.pause(self._all)
            self.is_asleep = True
            self._next_check = now + self.check_interval

    def _is_read_to_end(self) -> bool:
        return len(self._ended) == len(self._all)

    def _on_message_error(self, error: KafkaError, message: Message) -> None:
        super()._on_message_error(error, message)
        if error.code() == KafkaError._PARTITION_EOF:
            self._ended.add(Partition(str(message.topic()), int(message.partition() or 0)))
