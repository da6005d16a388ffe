"""Reads a daemon's topics: chooses the start positions, and decodes the records that are for the daemon.

Input: a role and its saved positions. Output: batches of `Delivery`. Must not: write anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import NamedTuple

from cloud_builder.model.role import Role
from cloud_builder.model.topics import ASSIGNMENT, DEAD_LETTER, QUERY, ROUTES, Topic, topics_read_by
from cloud_builder.ports.broker import Broker, Partition, Record, partition_for

from .codec import Envelope, Undecodable, body_of, head_of

BATCH = 500
CHECK_INTERVAL = 0.02
"""Seconds between two checks of the stop event and of the flow's `max_wait`, which the flow's threads may shorten."""

FROM_THE_END: dict[Role, frozenset[str]] = {
    Role.RUNNER: frozenset({ASSIGNMENT.name}),
    Role.INFO: frozenset({QUERY.name}),
}
"""Topics of assignments and queries, by reader: those from before the reader's first start are not for it."""


class Delivery(NamedTuple):
    """A record and its content for this daemon: an event, None (not for it), or a decode error."""

    record: Record
    content: Envelope | Undecodable | None


def topics_of(role: Role) -> tuple[Topic, ...]:
    """Returns the topics that a daemon's reader reads.

    Not its own topics, whose events it wrote itself; nor families of topics, which are read through share groups."""
    return tuple(topic for topic in topics_read_by(role) if topic.writer is not role and not topic.is_family)


def start_positions(broker: Broker, role: Role, instance: str, kept: Mapping[Partition, int]) -> dict[Partition, int]:
    """Returns the offset to read from, by partition.

    Saved positions (`kept`) come first. Otherwise: the oldest record, or the end of topics in FROM_THE_END. A runner
    (`instance`) reads only the one partition of cb.assignment that has its assignments."""
    marks = dict(broker.watermarks(topic.name for topic in topics_of(role)))
    if role is Role.RUNNER:
        count = sum(partition.topic == ASSIGNMENT.name for partition in marks)
        own = Partition(ASSIGNMENT.name, partition_for(instance.encode(), count))
        marks = {
            partition: mark for partition, mark in marks.items() if partition.topic != own.topic or partition == own
        }
    from_the_end = FROM_THE_END.get(role, frozenset())
    started = {partition.topic for partition in kept}

    def start(partition: Partition, oldest: int, end: int) -> int:
        if partition in kept:
            return kept[partition]
        return end if partition.topic in from_the_end and partition.topic not in started else oldest

    return {partition: start(partition, oldest, end) for partition, (oldest, end) in marks.items()}


class Reader:
    """A reader of one daemon's topics. `poll` raises Retryable while the broker cannot be reached.

    `instance`: the runner that reads. Assignments with another key are for other runners, and are not decoded."""

    def __init__(
        self,
        broker: Broker,
        role: Role,
        instance: str,
        incarnation: str,
        positions: Mapping[Partition, int],
        *,
        check_interval: float = CHECK_INTERVAL,
    ) -> None:
        self._consumer = broker.consumer(positions)
        self._incarnation = incarnation
        self._check_interval = check_interval
        self._own_key = instance.encode() if role is Role.RUNNER else None
        self._events = frozenset(route.event for route in ROUTES if role in route.readers)

    def poll(self, max_wait: Callable[[], float], stop: Event) -> list[Delivery]:
        """Waits for records for at most `max_wait()` seconds. Calls `max_wait` repeatedly, because it may shrink."""
        deadline = time.monotonic() + max_wait()
        while True:
            left = deadline - time.monotonic()
            records = self._consumer.poll(BATCH, max(0.0, min(self._check_interval, left)))
            if records or left <= 0 or stop.is_set():
                return self._deliver(records)
            deadline = min(deadline, time.monotonic() + max_wait())

    def is_at_end(self) -> bool:
        return self._consumer.is_at_end()

    def close(self) -> None:
        self._consumer.close()

    def _deliver(self, records: Sequence[Record]) -> list[Delivery]:
        return [Delivery(record, self._content(record)) for record in records]

    def _content(self, record: Record) -> Envelope | Undecodable | None:
        if self._own_key is not None and record.key != self._own_key and record.partition.topic == ASSIGNMENT.name:
            return None
        try:
            head = head_of(record, self._incarnation)
            return body_of(record, head) if head.event in self._events else None
        except Undecodable as error:
            return None if record.partition.topic == DEAD_LETTER.name else error
