"""Reading from the embedded broker: asleep while nothing is sent, awake within a millisecond when something is.

The embedded broker answers a fetch when the fetch's time is over, and not when a record arrives. Short fetches, one
after the other, find a record soon, but cost 2–4 % of a core for each reader. So a reader pauses its partitions, which
stops the fetches, and waits at its wake socket:

    awake ──the end of each partition was seen──► asleep ──datagram, or the check is due──► awake

`EmbeddedProducer` sends the datagrams. Other programs do not know of them: what they send is found by the next check.
Readers of topics that clients write check more often.

Each change to awake is one fetch. It costs 0.6 ms of processor time here, and 0.2 ms in the broker.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from cloud_builder.model.outcome import Role
from cloud_builder.model.topics import TOPICS
from cloud_builder.ports.broker import Partition, Record

from .connection import Connection, Options
from .consumer import KafkaConsumer
from .wake_socket import WakeSocket

CHECK_INTERVAL = 1.0
"""Seconds between two checks of topics that only daemons write."""
CLIENT_CHECK_INTERVAL = 0.25
_STAY_AWAKE = 0.02
"""Seconds after a datagram. A record that was posted and not confirmed yet arrives meanwhile."""
_START_INTERVAL = 0.015
"""Seconds until a fetch that has not ended any partition is started once more: an answer takes 4 ms."""
_START_TIMEOUT = 1.0
_CLIENT_TOPICS = frozenset(topic.name for topic in TOPICS if topic.writer is Role.CLIENT)


class EmbeddedConsumer(KafkaConsumer):
    """Fulfils ports.broker.Consumer. The wake socket is the consumer's own from now on."""

    def __init__(self, connection: Connection, positions: Mapping[Partition, int], wake: WakeSocket) -> None:
        super().__init__(connection, positions)
        self._wake = wake
        is_for_clients = any(partition.topic in _CLIENT_TOPICS for partition in positions)
        self.check_interval = CLIENT_CHECK_INTERVAL if is_for_clients else CHECK_INTERVAL
        self._all = [TopicPartition(partition.topic, partition.number) for partition in positions]
        self._ended: set[Partition] = set()
        """Partitions whose end was seen since the last change to awake."""
        self.is_asleep = False
        self._awake_until = 0.0
        self._next_check = 0.0
        self._next_start = time.monotonic() + _START_INTERVAL

    def _options(self) -> Options:
        """An answer to each fetch is seen as the end of its partition: no statistics are needed to know of it."""
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
        """True when awake."""
        is_called = self._wake.wait(min(until, self._next_check) - time.monotonic())
        now = time.monotonic()
        if is_called:
            self._awake_until = now + _STAY_AWAKE
        if is_called or now >= self._next_check:
            self._wake_up(now)
        return not self.is_asleep

    def _awake_for(self, until: float) -> float:
        """Seconds that something may still come in before there is anything else to do. Not less than a millisecond:
        librdkafka does not wait for parts of one."""
        end = min(until, self._awake_until if self._is_read_to_end() else self._next_start)
        return max(0.001, end - time.monotonic())

    def _wake_up(self, now: float) -> None:
        self.is_asleep = False
        self._ended.clear()
        self._contact = self._polled = now
        self._consumer.resume(self._all)
        self._start_fetch()

    def _start_fetch(self) -> None:
        """librdkafka's thread notices resumed partitions when it has anything to do, else within a second. So it gets
        something to do: a question about offsets, whose answer nobody needs."""
        self._next_start = time.monotonic() + _START_INTERVAL
        try:
            self._consumer.get_watermark_offsets(self._all[0], _START_TIMEOUT, cached=False)
        except KafkaException as error:
            self._connection.note(error.args[0])

    def _fall_asleep(self) -> None:
        """Unless something may be under way to us, or the end of a partition was not seen yet."""
        now = time.monotonic()
        if self._wake.is_called():
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
