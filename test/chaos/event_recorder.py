"""Records every event of the topics from the first offset on, over a connection without faults."""

from __future__ import annotations

from typing import TypeVar

from cloud_builder.adapters.kafka.broker import KafkaBroker
from cloud_builder.errors import Retryable
from cloud_builder.mesh.codec import Envelope, Undecodable, decode
from cloud_builder.model.events import Payload
from cloud_builder.model.settings import BrokerSettings
from cloud_builder.model.topics import ASSIGNMENT, ATTEMPT, DEAD_LETTER, INTAKE, JOB, REPOSITORY, RESULT, RUNNERS
from cloud_builder.ports.broker import Consumer, Record

P = TypeVar("P", bound=Payload)
TOPICS = (INTAKE, ASSIGNMENT, JOB, RESULT, ATTEMPT, REPOSITORY, RUNNERS, DEAD_LETTER)


class EventRecorder:
    """`events`: in the order in which they were read; each event id once, however often it was sent."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._broker = KafkaBroker(settings)
        self._consumer: Consumer | None = None
        self.events: list[Envelope] = []
        self._seen: set[str] = set()
        self.unreadable: list[str] = []

    def listen(self, seconds: float) -> None:
        """Reads for so many seconds. An unreachable broker is no error: it is one of the faults."""
        try:
            if self._consumer is None:
                self._broker.ensure_topics(TOPICS)
                marks = self._broker.watermarks([topic.name for topic in TOPICS])
                self._consumer = self._broker.consumer(dict.fromkeys(marks, 0))
            records = self._consumer.poll(1000, seconds)
        except Retryable:
            return
        for record in records:
            self._take(record)

    def of(self, kind: type[P]) -> list[P]:
        return [event.payload for event in self.events if isinstance(event.payload, kind)]

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()

    def _take(self, record: Record) -> None:
        try:
            event = decode(record, "")
        except Undecodable as error:
            self.unreadable.append(f"{record.partition.topic}@{record.offset}: {error}")
            return
        if event.id not in self._seen:
            self._seen.add(event.id)
            self.events.append(event)
