"""Sending to the embedded broker: the readers of this machine are woken when something is there for them."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_builder.ports.broker import OutgoingRecord, PendingSend

from .connection import Connection
from .producer import KafkaProducer
from .wake_socket import WakeSender


class EmbeddedProducer(KafkaProducer):
    """Fulfils ports.broker.Producer. The wake sender is the producer's own from now on."""

    _flush_timeout = 0.02
    """Seconds. The embedded broker confirms in one or two milliseconds, unless the machine is busy."""

    def __init__(self, connection: Connection, wake: WakeSender) -> None:
        super().__init__(connection)
        self._wake = wake

    def post(self, records: Sequence[OutgoingRecord]) -> PendingSend:
        """Readers are woken once more at the confirmation, when that is not there yet."""
        posted = self._hand_over(records)
        topics = sorted({record.topic for record in records})
        is_delivered = posted.is_delivered
        self._wake.send(topics)
        return posted if is_delivered else _WakingPosted(posted, self._wake, topics)

    def send_best_effort(self, record: OutgoingRecord) -> None:
        super().send_best_effort(record)
        self._wake.send([record.topic])

    def close(self, timeout: float = 5.0) -> None:
        super().close(timeout)
        self._wake.close()


class _WakingPosted:
    """Fulfils ports.broker.PendingSend."""

    def __init__(self, posted: PendingSend, wake: WakeSender, topics: Sequence[str]) -> None:
        self._posted, self._wake, self._topics = posted, wake, topics

    def is_done(self) -> bool:
        if not self._posted.is_done():
            return False
        self._wake.send(self._topics)
        return True

    def wait(self, timeout: float) -> None:
        self._posted.wait(timeout)
        self._wake.send(self._topics)
