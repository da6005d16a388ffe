"""From the broker to events: where a daemon begins to read, and which records are for it.

In goes a role and the positions it kept, out come batches of `Delivered`. Never writes anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import NamedTuple

from cloud_builder.model.outcome import Role
from cloud_builder.model.topics import ASSIGNMENT, DEAD_LETTER, QUERY, ROUTES, Topic, topics_read_by
from cloud_builder.ports.broker import Broker, Partition, Record, partition_for

from .codec import Envelope, Undecodable, body_of, head_of

BATCH = 500
CHECK_INTERVAL = 0.02
"""Seconds between two checks of the stop event and of the flow's patience, which the flow's threads may shorten."""

FROM_THE_END: dict[Role, frozenset[str]] = {
    Role.RUNNER: frozenset({ASSIGNMENT.name}),
    Role.INFO: frozenset({QUERY.name}),
}
"""Topics of orders and questions: those from before the reader's first start are not for it."""


class Delivery(NamedTuple):
    """A record and what it is to this daemon: an event, nothing (None), or unreadable."""

    record: Record
    content: Envelope | Undecodable | None


def topics_of(role: Role) -> tuple[Topic, ...]:
    """What a daemon reads by itself. What it wrote it knows already; families are read through share groups."""
    return tuple(topic for topic in topics_read_by(role) if topic.writer is not role and not topic.is_family)


def start_positions(broker: Broker, role: Role, instance: str, kept: Mapping[Partition, int]) -> dict[Partition, int]:
    """Kept positions; else the oldest record, or the end of topics whose past is not for the reader. Of the orders a
    runner (`instance`) reads the one partition that those for it are in."""
    marks = dict(broker.watermarks(topic.name for topic in topics_of(role)))
    if role is Role.RUNNER:
        places = sum(place.topic == ASSIGNMENT.name for place in marks)
        mine = Partition(ASSIGNMENT.name, partition_for(instance.encode(), places))
        marks = {place: mark for place, mark in marks.items() if place.topic != mine.topic or place == mine}
    from_the_end = FROM_THE_END.get(role, frozenset())
    known = {partition.topic for partition in kept}

    def start(partition: Partition, oldest: int, end: int) -> int:
        if partition in kept:
            return kept[partition]
        return end if partition.topic in from_the_end and partition.topic not in known else oldest

    return {partition: start(partition, oldest, end) for partition, (oldest, end) in marks.items()}


class Reader:
    """Reads one daemon's topics. Retryable from `poll` while the broker cannot be reached.

    `instance` is the runner that reads: orders with another key are for others, and not even decoded."""

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
        self._mine = instance.encode() if role is Role.RUNNER else None
        self._wanted = frozenset(route.event for route in ROUTES if role in route.readers)

    def poll(self, patience: Callable[[], float], stop: Event) -> list[Delivery]:
        """Waits for records as long as the patience lasts: it is asked again and again, and may shrink."""
        deadline = time.monotonic() + patience()
        while True:
            left = deadline - time.monotonic()
            records = self._consumer.poll(BATCH, max(0.0, min(self._check_interval, left)))
            if records or left <= 0 or stop.is_set():
                return self._deliver(records)
            deadline = min(deadline, time.monotonic() + patience())

    def is_at_end(self) -> bool:
        return self._consumer.is_at_end()

    def close(self) -> None:
        self._consumer.close()

    def _deliver(self, records: Sequence[Record]) -> list[Delivery]:
        return [Delivery(record, self._content(record)) for record in records]

    def _content(self, record: Record) -> Envelope | Undecodable | None:
        if self._mine is not None and record.key != self._mine and record.partition.topic == ASSIGNMENT.name:
            return None
        try:
            head = head_of(record, self._incarnation)
            return body_of(record, head) if head.event in self._wanted else None
        except Undecodable as error:
            return None if record.partition.topic == DEAD_LETTER.name else error
