"""The port `Broker` over librdkafka, for a real cluster and for the embedded one.

The embedded broker makes a topic when it is asked about, with four partitions, and knows no topic settings.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._metadata import ClusterMetadata

from cloud_builder.model.settings import BrokerSettings
from cloud_builder.model.topics import Topic
from cloud_builder.ports.broker import Consumer, Partition, Producer

from . import topics as topic_setup
from .connection import Connection
from .consumer import KafkaConsumer
from .producer import KafkaProducer

_TIMEOUT = 2.0
_SETTLE = 5.0
_UNSETTLED = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)


class KafkaBroker:
    """Connects when first asked something. Thread-safe."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._connection = Connection(settings)
        self._admin = AdminClient(self._connection.options())

    def incarnation(self) -> str:
        """The embedded broker is named by its settings, a cluster by its id, which it keeps for life."""
        cluster = self._metadata().cluster_id or self._settings.bootstrap
        return self._settings.incarnation or str(cluster)

    def ensure_topics(self, topics: Iterable[Topic]) -> None:
        wanted = {topic.name: topic for topic in topics}
        if self._settings.embedded:
            self._touch(wanted)
            return
        found = self._metadata()
        missing = [topic for name, topic in wanted.items() if name not in found.topics]
        if missing:
            with self._asking():
                topic_setup.create(self._admin, self._connection, missing, len(found.brokers))

    def watermarks(self, topics: Iterable[str]) -> Mapping[Partition, tuple[int, int]]:
        names = set(topics)
        if self._settings.embedded:
            self._touch(names)
        known = self._metadata().topics
        places = [Partition(name, number) for name in sorted(names & set(known)) for number in known[name].partitions]
        oldest = self._offsets(places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        end = self._offsets(places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        return {place: (oldest[place], end[place]) for place in places}

    def consumer(self, positions: Mapping[Partition, int]) -> Consumer:
        return KafkaConsumer(self._connection, positions)

    def producer(self) -> Producer:
        return KafkaProducer(self._connection)

    def close(self) -> None:
        """Consumers and producers are closed by who opened them."""

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Turns librdkafka's errors into Retryable; `poll` lets it tell the cause."""
        try:
            yield
        except KafkaException as error:
            self._admin.poll(0)
            raise self._connection.unreachable(error.args[0]) from None

    def _metadata(self) -> ClusterMetadata:
        with self._asking():
            return self._admin.list_topics(timeout=_TIMEOUT)

    def _touch(self, names: Iterable[str]) -> None:
        with self._asking():
            for name in names:
                self._admin.list_topics(name, timeout=_TIMEOUT)

    def _offsets(self, places: list[Partition], which: OffsetSpec) -> dict[Partition, int]:
        """A new topic has no leader for a moment: asked again until it has."""
        if not places:
            return {}
        asked = {TopicPartition(place.topic, place.number): which for place in places}
        until = time.monotonic() + _SETTLE
        with self._asking():
            while True:
                try:
                    answers = self._admin.list_offsets(asked, request_timeout=_TIMEOUT)
                    return {Partition(at.topic, at.partition): found.result().offset for at, found in answers.items()}
                except KafkaException as error:
                    if error.args[0].code() not in _UNSETTLED or time.monotonic() > until:
                        raise
                    time.sleep(_SETTLE / 100)
