"""The broker inside the confluent-kafka wheel (librdkafka's mock cluster), for one machine and a first look.

It lives in the process that starts it, on a free port of 127.0.0.1, keeps everything in memory (5 MiB a partition,
the rest is dropped silently), and forgets all when it ends: `incarnation` names one life.
"""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from confluent_kafka import KafkaException, Producer

from cloud_builder.errors import Retryable
from cloud_builder.model.settings import BrokerSettings

from .connection import Connection

_TIMEOUT = 5.0


class EmbeddedBroker:
    """Serves from `start` to `close`, to this and other processes of the machine."""

    def __init__(self, wake_directory: Path | None = None) -> None:
        """`wake_directory`: where the readers of this machine have their wake sockets (see embedded_consumer). None:
        they stay awake."""
        self._wake_directory = wake_directory
        self._host: Producer | None = None

    def start(self) -> BrokerSettings:
        """How clients reach it."""
        options = Connection(BrokerSettings(embedded=True)).options(**{"test.mock.num.brokers": 1})
        self._host = Producer(options)
        try:
            brokers = self._host.list_topics(timeout=_TIMEOUT).brokers.values()
        except KafkaException as error:
            raise Retryable(f"the embedded broker did not start: {error}", code="broker") from None
        bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        return BrokerSettings(
            bootstrap=bootstrap,
            embedded=True,
            incarnation=f"embedded-{uuid4()}",
            wake_directory=self._make_wake_directory(),
        )

    def _make_wake_directory(self) -> str:
        """Without what readers of an earlier broker left, which were killed."""
        if self._wake_directory is None:
            return ""
        self._wake_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for entry in self._wake_directory.iterdir():
            entry.unlink()
        return str(self._wake_directory)

    def close(self) -> None:
        """Ends the broker: the library does so with the last reference to its host."""
        self._host = None
