"""The port `Broker` over librdkafka, for a real cluster and for the embedded one.

The embedded broker makes a topic when it is asked about, with four partitions, and knows no topic settings.
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
    """Connects when asked something, and not for longer. Thread-safe. `offers`: its producer sends some."""

    def __init__(self, settings: BrokerSettings, *, offers: bool = False) -> None:
        self._settings = settings
        self._offers = offers
        self._connection = Connection(settings)

    def incarnation(self) -> str:
        """The embedded broker is named by its settings, a cluster by its id, which it keeps for life."""
        with self._asking() as admin:
            cluster = self._cluster_id(admin)
        return self._settings.incarnation or str(cluster or self._settings.bootstrap)

    def ensure_topics(self, topics: Iterable[Topic]) -> None:
        wanted = {topic.name: topic for topic in topics}
        with self._asking() as admin:
            if self._settings.embedded:
                _touch(admin, wanted)
                return
            found = admin.list_topics(timeout=_TIMEOUT)
            missing = [topic for name, topic in wanted.items() if name not in found.topics]
            if missing:
                topic_setup.create(admin, self._connection, missing, len(found.brokers))

    def watermarks(self, topics: Iterable[str]) -> Mapping[Partition, tuple[int, int]]:
        names = set(topics)
        with self._asking() as admin:
            if self._settings.embedded:
                _touch(admin, names)
            known = admin.list_topics(timeout=_TIMEOUT).topics
            places = [Partition(name, part) for name in sorted(names & set(known)) for part in known[name].partitions]
            return offsets.watermarks(admin, places, _TIMEOUT)

    def consumer(self, positions: Mapping[Partition, int]) -> Consumer:
        """Where the embedded broker has a wake directory, a reader sleeps while nothing is sent."""
        if positions and self._wakes:
            try:
                wake = WakeSocket(Path(self._settings.wake_directory), {partition.topic for partition in positions})
            except OSError as error:
                _LOG.debug("no wake socket, the reader stays awake", exc_info=error)
            else:
                return EmbeddedConsumer(self._connection, positions, wake)
        return KafkaConsumer(self._connection, positions)

    def producer(self) -> Producer:
        if self._wakes:
            try:
                wake = WakeSender(Path(self._settings.wake_directory))
            except OSError as error:
                _LOG.debug("no wake directory, readers find what is sent at their next check", exc_info=error)
            else:
                return EmbeddedProducer(self._connection, wake)
        return self._offering(KafkaProducer(self._connection))

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
    def _wakes(self) -> bool:
        return self._settings.embedded and bool(self._settings.wake_directory)

    def _offering(self, producer: Producer) -> Producer:
        return RoutingProducer(self, self._connection, producer) if self._offers else producer

    def close(self) -> None:
        """Consumers and producers are closed by who opened them."""

    @contextmanager
    def _asking(self) -> Iterator[AdminClient]:
        """A connection for one question; librdkafka's errors become Retryable, and `poll` lets it tell their cause."""
        admin = AdminClient(self._connection.options())
        try:
            yield admin
        except KafkaException as error:
            admin.poll(0)
            raise self._connection.unreachable(error.args[0]) from None


def _touch(admin: AdminClient, names: Iterable[str]) -> None:
    for name in names:
        admin.list_topics(name, timeout=_TIMEOUT)
