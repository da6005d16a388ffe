"""The port `Broker` over librdkafka, for a Kafka cluster and for the embedded broker.

The embedded broker creates a topic at the first query for it, with four partitions, and has no topic settings.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from cloud_builder.model.settings import BrokerSettings
from cloud_builder.model.topics import Topic
from cloud_builder.ports.broker import Consumer, Partition, Producer

from . import offsets
from . import topics as topic_setup
from .connection import Connection
from .consumer import KafkaConsumer
from .embedded_consumer import EmbeddedConsumer
from .embedded_producer import EmbeddedProducer
from .offer_producer import RoutingProducer
from .producer import KafkaProducer
from .wake_socket import WakeSender, WakeSocket

_TIMEOUT = 3.0
_BUSY_TIMEOUT = 12.0
"""Seconds for the first answer of a broker that has refused nothing: on a busy machine it takes longer than usual."""
_LOG = logging.getLogger("cb.kafka")


class KafkaBroker:
    """Implements ports.broker.Broker. Connects for each query, and closes the connection. Thread-safe.

    `offers`: its producers also send offers."""

    def __init__(self, settings: BrokerSettings, *, offers: bool = False) -> None:
        self._settings = settings
        self._offers = offers
        self._connection = Connection(settings)

    def incarnation(self) -> str:
        """Returns the id in the settings (embedded broker), else the id of the cluster, which never changes."""
        with self._admin() as admin:
            cluster = self._cluster_id(admin)
        return self._settings.incarnation or str(cluster or self._settings.bootstrap)

    def ensure_topics(self, topics: Iterable[Topic]) -> None:
        expected = {topic.name: topic for topic in topics}
        with self._admin() as admin:
            if self._settings.embedded:
                _create_by_query(admin, expected)
                return
            found = admin.list_topics(timeout=_TIMEOUT)
            missing = [topic for name, topic in expected.items() if name not in found.topics]
            if missing:
                topic_setup.create(admin, self._connection, missing, len(found.brokers))

    def watermarks(self, topics: Iterable[str]) -> Mapping[Partition, tuple[int, int]]:
        names = set(topics)
        with self._admin() as admin:
            if self._settings.embedded:
                _create_by_query(admin, names)
            found = admin.list_topics(timeout=_TIMEOUT).topics
            partitions = [
                Partition(name, number) for name in sorted(names & set(found)) for number in found[name].partitions
            ]
            return offsets.watermarks(admin, partitions, _TIMEOUT)

    def consumer(self, positions: Mapping[Partition, int]) -> Consumer:
        """Returns a consumer. With the wake directory of the embedded broker it sleeps while nothing is sent."""
        if positions and self._has_sleepers:
            try:
                wake = WakeSocket(Path(self._settings.wake_directory), {partition.topic for partition in positions})
            except OSError as error:
                _LOG.debug("no wake socket, the reader stays awake", exc_info=error)
            else:
                return EmbeddedConsumer(self._connection, positions, wake)
        return KafkaConsumer(self._connection, positions)

    def producer(self) -> Producer:
        if self._has_sleepers:
            try:
                wake = WakeSender(Path(self._settings.wake_directory))
            except OSError as error:
                _LOG.debug("no wake directory, readers find what is sent at their next check", exc_info=error)
            else:
                return EmbeddedProducer(self._connection, wake)
        return self._with_offers(KafkaProducer(self._connection))

    def _cluster_id(self, admin: AdminClient) -> str | None:
        """A broker that is not there shows an error within the usual time, and is not waited for any longer."""
        try:
            return admin.list_topics(timeout=_TIMEOUT).cluster_id
        except KafkaException:
            admin.poll(0)
            if self._connection.last_error:
                raise
            return admin.list_topics(timeout=_BUSY_TIMEOUT).cluster_id

    @property
    def _has_sleepers(self) -> bool:
        return self._settings.embedded and bool(self._settings.wake_directory)

    def _with_offers(self, producer: Producer) -> Producer:
        return RoutingProducer(self, self._connection, producer) if self._offers else producer

    def close(self) -> None:
        """Has nothing to close: consumers and producers are closed by their callers."""

    @contextmanager
    def _admin(self) -> Iterator[AdminClient]:
        """Opens a connection for one query. Turns librdkafka's errors into Retryable; `poll` fetches their cause."""
        admin = AdminClient(self._connection.options())
        try:
            yield admin
        except KafkaException as error:
            admin.poll(0)
            raise self._connection.unreachable(error.args[0]) from None


def _create_by_query(admin: AdminClient, names: Iterable[str]) -> None:
    for name in names:
        admin.list_topics(name, timeout=_TIMEOUT)
