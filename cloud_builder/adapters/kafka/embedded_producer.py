"""Sends to the embedded broker, and wakes the sleeping readers of this machine."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_builder.ports.broker import OutgoingRecord, PendingSend

from .connection import Connection
from .producer import KafkaProducer
from .wake_socket import WakeSender


class EmbeddedProducer(KafkaProducer):
    """Implements ports.broker.Producer. The producer closes the wake sender."""

    _flush_timeout = 0.02
    """Seconds. The embedded broker confirms within one or two milliseconds, unless the machine is busy."""

    def __init__(self, connection: Connection, wake: WakeSender) -> None:
        super().__init__(connection)
        self._wake = wake

    def post(self, records: Sequence[OutgoingRecord]) -> PendingSend:
        """Posts records and wakes the readers; wakes them again when the broker has confirmed, if it has not yet."""
        pending = self._enqueue(records)
        topics = sorted({record.topic for record in records})
        is_delivered = pending.is_delivered
        self._wake.send(topics)
        return pending if is_delivered else _WakingSend(pending, self._wake, topics)

    def send_best_effort(self, record: OutgoingRecord) -> None:
        super().send_best_effort(record)
        self._wake.send([record.topic])

    def close(self, timeout: float = 5.0) -> None:
        super().close(timeout)
        self._wake.close()


class _WakingSend:
    """Implements ports.broker.PendingSend: wakes the readers when the broker has confirmed."""

    def __init__(self, pending: PendingSend, wake: WakeSender, topics: Sequence[str]) -> None:
        self._pending, self._wake, self._topics = pending, wake, topics

    def is_done(self) -> bool:
        if not self._pending.is_done():
            return False
        self._wake.send(self._topics)
        return True

    def wait(self, timeout: float) -> None:
        self._pending.wait(timeout)
        self._wake.send(self._topics)
