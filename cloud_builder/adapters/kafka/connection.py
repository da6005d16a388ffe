"""What all connections to a cluster share: librdkafka's options, its logs, its errors in our words.

librdkafka is talkative while a broker is away (a line for each attempt and thread). Its lines go to the debug log;
the mesh says once that the broker is gone, with the last error that is kept here.
"""

from __future__ import annotations

import logging
from typing import Any

from confluent_kafka import KafkaError

from cloud_builder.errors import Retryable
from cloud_builder.model.settings import BrokerSettings

LARGEST_MESSAGE = 16 * 1024 * 1024
"""Bytes; a topic's own limit may be lower."""
_LOG = logging.getLogger("cb.kafka")

_ONLY_CONSEQUENCES = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TIMED_OUT,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._PURGE_QUEUE,
        KafkaError._PURGE_INFLIGHT,
    }
)
_UNINFORMATIVE = _ONLY_CONSEQUENCES | {KafkaError._TRANSPORT}
"""Where these are what a call returned, the cause came by `error_cb` before."""

Options = dict[str, Any]


class _DebugLog:
    """Takes the place of a logger in confluent_kafka."""

    def log(self, level: int, message: str, *args: object) -> None:
        _LOG.debug(message, *args)


class Connection:
    """One cluster as the settings name it. `trouble` is the last error any client of it had. Thread-safe."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.settings = settings
        self.last_error = ""

    def options(self, **more: Any) -> Options:
        """Settings of a client; what the user wrote comes last."""
        return {
            "bootstrap.servers": self.settings.bootstrap,
            "client.id": "cloud-builder",
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 1000,
            "retry.backoff.ms": 50,
            "retry.backoff.max.ms": 500,
            "socket.keepalive.enable": True,
            "socket.nagle.disable": True,
            "socket.connection.setup.timeout.ms": 5000,
            "log.connection.close": False,
            "logger": _DebugLog(),
            "error_cb": self.note,
            **more,
            **self.settings.options,
        }

    def note(self, error: KafkaError) -> None:
        """Remembers the cause, where the error is one."""
        if error.code() not in _ONLY_CONSEQUENCES:
            self.last_error = _cause(error)

    def unreachable(self, error: KafkaError | None = None) -> Retryable:
        """The error to raise when nobody answers."""
        if error is not None and error.code() not in _UNINFORMATIVE:
            self.note(error)
        kind = "embedded broker" if self.settings.embedded else "Kafka"
        why = f": {self.last_error}" if self.last_error else ""
        hint = "Is it running (`cb-ctl up`)?" if self.settings.embedded else "Is it running, and is the address right?"
        return Retryable(f"{kind} at {self.settings.bootstrap} cannot be reached{why}", code="broker", hint=hint)


def _cause(error: KafkaError) -> str:
    """`host:1/1: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after …)` → `Connect to … refused`."""
    text = error.str().split(" (after ")[0]
    return text.split(": ", 1)[-1] if "/" in text.split(": ", 1)[0] else text
