"""The port `Broker` in one process: lists of records behind a lock, shared by any number of threads.

`unplug` and `plug` end and restore the connection, like a network failure.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Condition

from cloud_builder.errors import Retryable
from cloud_builder.model.topics import Topic
from cloud_builder.ports.broker import Consumer, OutgoingRecord, Partition, Producer, Record, partition_for


class MemoryBroker:
    """A cluster in memory. A topic that was not created is created at its first use, with one partition."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.changed = Condition()
        self.logs: dict[Partition, list[Record]] = {}
        self._partitions: dict[str, int] = {}
        self._incarnation = str(uuid.uuid4())
        self.reachable = True
        self._clock = clock

    def incarnation(self) -> str:
        self.reach()
        return self._incarnation

    def ensure_topics(self, topics: Iterable[Topic]) -> None:
        self.reach()
        with self.changed:
            for topic in topics:
                self._make(topic.name, topic.partitions)

    def watermarks(self, topics: Iterable[str]) -> Mapping[Partition, tuple[int, int]]:
        self.reach()
        with self.changed:
            names = set(topics)
            for name in names:
                self._make(name, 1)
            return {partition: (0, len(log)) for partition, log in self.logs.items() if partition.topic in names}

    def consumer(self, positions: Mapping[Partition, int]) -> Consumer:
        return _MemoryConsumer(self, positions)

    def producer(self) -> Producer:
        return _MemoryProducer(self)

    def close(self) -> None: ...

    def unplug(self) -> None:
        """Makes the broker unreachable."""
        self._set_reachable(False)

    def plug(self) -> None:
        """Makes the broker reachable again."""
        self._set_reachable(True)

    def _set_reachable(self, reachable: bool) -> None:
        with self.changed:
            self.reachable = reachable
            self.changed.notify_all()

    def reach(self) -> None:
        """Raises Retryable while the broker is unreachable."""
        if not self.reachable:
            raise Retryable(
                "the broker in memory cannot be reached", code="broker-unreachable", hint="It was unplugged."
            )

    def append(self, records: Sequence[OutgoingRecord]) -> None:
        """Adds records to their partitions and wakes the consumers."""
        self.reach()
        with self.changed:
            for record in records:
                self._append(record)
            self.changed.notify_all()

    def _append(self, record: OutgoingRecord) -> None:
        self._make(record.topic, 1)
        partition = Partition(record.topic, partition_for(record.key or b"", self._partitions[record.topic]))
        log = self.logs[partition]
        log.append(Record(partition, len(log), record.key, record.value, record.headers, self._clock()))

    def _make(self, name: str, partitions: int) -> None:
        if name not in self._partitions:
            self._partitions[name] = partitions
            self.logs.update({Partition(name, number): [] for number in range(partitions)})


class _MemoryConsumer:
    def __init__(self, broker: MemoryBroker, positions: Mapping[Partition, int]) -> None:
        self._broker = broker
        self._next = {partition: self._valid_start(partition, start) for partition, start in positions.items()}

    def _valid_start(self, partition: Partition, start: int) -> int:
        """Returns the offset, or that of the oldest record if the partition does not have it."""
        return start if start <= len(self._broker.logs.get(partition, ())) else 0

    def poll(self, most: int, timeout: float) -> list[Record]:
        with self._broker.changed:
            self._broker.changed.wait_for(lambda: not self.is_at_end() or not self._broker.reachable, timeout)
            self._broker.reach()
            found: list[Record] = []
            for partition, start in self._next.items():
                log = self._broker.logs.get(partition, [])
                records = log[start : start + most - len(found)]
                self._next[partition] = start + len(records)
                found += records
            return found

    def is_at_end(self) -> bool:
        logs = self._broker.logs
        return all(start >= len(logs.get(partition, ())) for partition, start in self._next.items())

    def close(self) -> None: ...


class _CompletedSend:
    def is_done(self) -> bool:
        return True

    def wait(self, timeout: float) -> None: ...


class _MemoryProducer:
    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def post(self, records: Sequence[OutgoingRecord]) -> _CompletedSend:
        self._broker.append(records)
        return _CompletedSend()

    def send(self, records: Sequence[OutgoingRecord], timeout: float) -> None:
        self._broker.append(records)

    def send_best_effort(self, record: OutgoingRecord) -> None:
        try:
            self._broker.append([record])
        except Retryable:
            return

    def close(self, timeout: float = 5.0) -> None: ...
