"""Options, logs and errors that all librdkafka clients of a cluster share.

While a broker is gone, librdkafka logs a line for each attempt and thread. These lines go to the debug log; the mesh
logs once that the broker is gone, with the last error, which is kept here.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError

from cloud_builder.errors import Retryable

if TYPE_CHECKING:
    from cloud_builder.model.settings import BrokerSettings

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""The limit of the clients; a topic's own limit may be lower."""
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
"""If a call returns one of these errors, `error_cb` received the cause before."""

Options = dict[str, Any]

COMMON_OPTIONS: Options = {
    "client.id": "cloud-builder",
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 1000,
    "retry.backoff.ms": 50,
    "retry.backoff.max.ms": 500,
    "socket.keepalive.enable": True,
    "socket.nagle.disable": True,
    "socket.connection.setup.timeout.ms": 5000,
    "log.connection.close": False,
}
"""What all clients have in common, the host of the embedded broker too."""


class DebugLog:
    """A logger for confluent_kafka that writes to the debug log."""

    def log(self, level: int, message: str, *args: object) -> None:
        _LOG.debug(message, *args)


class Connection:
    """A cluster as the settings name it. `last_error`: the last error of any of its clients. Thread-safe."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.settings = settings
        self.last_error = ""

    def options(self, **more: Any) -> Options:
        """Returns the options of a client. The user's own options override all others."""
        bootstrap = {"bootstrap.servers": self.settings.bootstrap, "error_cb": self.note}
        return {**COMMON_OPTIONS, "logger": DebugLog(), **bootstrap, **more, **self.settings.options}

    def note(self, error: KafkaError) -> None:
        """Saves an error as the last one, unless it is only a consequence of others."""
        if error.code() not in _ONLY_CONSEQUENCES:
            self.last_error = _cause(error)

    def unreachable(self, error: KafkaError | None = None) -> Retryable:
        """Returns the error to raise if the cluster does not answer."""
        if error is not None and error.code() not in _UNINFORMATIVE:
            self.note(error)
        kind = "embedded broker" if self.settings.embedded else "Kafka"
        why = f": {self.last_error}" if self.last_error else ""
        hint = "Is it running (`cb-ctl up`)?" if self.settings.embedded else "Is it running, and is the address right?"
        return Retryable(f"{kind} at {self.settings.bootstrap} cannot be reached{why}", code="broker", hint=hint)


def _cause(error: KafkaError) -> str:
    """Shortens `host:1/1: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after …)`: `Connect to … refused`."""
    text = error.str().split(" (after ")[0]
    return text.split(": ", 1)[-1] if "/" in text.split(": ", 1)[0] else text
