"""The embedded broker: the mock cluster of librdkafka in the confluent-kafka wheel, for one machine and a first look.

The broker runs in the process that starts it, on a free port of 127.0.0.1. Its records are in memory: 5 MiB for each
partition, beyond which records are dropped silently. They are lost when the broker ends; each start is a new
`incarnation`.

The supervisor of a mesh runs it, as long as the mesh runs. So nothing here imports pydantic, which takes 12 MB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

from confluent_kafka import KafkaException, Producer

from cloud_builder.errors import Retryable

from .connection import COMMON_OPTIONS, DebugLog

_TIMEOUT = 5.0


class EmbeddedBroker:
    """An embedded broker. From `start` to `close` it serves this and other processes of the machine."""

    def __init__(self, wake_directory: Path | None = None) -> None:
        """Starts nothing yet.

        `wake_directory`: for the wake sockets of this machine's readers (see embedded_consumer). None: the readers
        never sleep."""
        self._wake_directory = wake_directory
        self._host: Producer | None = None

    def start(self) -> dict[str, Any]:
        """Starts the broker, and returns the fields of BrokerSettings for its clients.

        Raises Retryable if the broker does not start."""
        self._host = Producer({**COMMON_OPTIONS, "logger": DebugLog(), "test.mock.num.brokers": 1})
        try:
            brokers = self._host.list_topics(timeout=_TIMEOUT).brokers.values()
        except KafkaException as error:
            raise Retryable(f"the embedded broker did not start: {error}", code="broker") from None
        bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        return {
            "bootstrap": bootstrap,
            "embedded": True,
            "incarnation": f"embedded-{uuid4()}",
            "wake_directory": self._make_wake_directory(),
        }

    def _make_wake_directory(self) -> str:
        """Makes the directory, and removes the sockets of killed readers of an earlier broker."""
        if self._wake_directory is None:
            return ""
        self._wake_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for entry in self._wake_directory.iterdir():
            entry.unlink()
        return str(self._wake_directory)

    def close(self) -> None:
        """Ends the broker: the library ends it with the last reference to its host."""
        self._host = None
