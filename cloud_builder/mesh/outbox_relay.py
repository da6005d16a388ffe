"""Sends the committed events of the outbox, in order, and records which of them the broker has.

    committed ──add──► queued in memory ──post──► in flight ──arrived──► sent ──next transaction──► deleted
                           ▲
    outbox on disk ──read──┘   after a crash or an error, or with more than _MAX_PACKETS queued

A packet is all records of one transaction. It is posted from memory, and the loop handles the next batch while it is in
flight. Packets that are read from disk are sent together, and the relay waits for them. Deleting sent packets is not a
transaction of its own but part of the next one (`confirm_sent`). A crash in between sends a few events twice, which
every reader expects.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from cloud_builder.errors import CloudBuilderError, NotAllowed, Rejected
from cloud_builder.ports.broker import OutgoingRecord, PendingSend, Producer
from cloud_builder.ports.state import StateStore

_MAX_PACKETS = 100
"""Packets that are read and sent at a time, and packets queued in memory."""
_MAX_IN_FLIGHT = 8
"""Packets posted before the relay waits for the oldest."""
_LOG = logging.getLogger("cb.mesh")
Packet = tuple[int, Sequence[OutgoingRecord]]


class _InFlight(NamedTuple):
    number: int
    send: PendingSend
    since: float


class OutboxRelay:
    """A relay of one state's outbox.

    `pending`: True while the outbox may have packets that the broker does not have.
    `is_behind`: True while some of them were not even posted."""

    def __init__(self, state: StateStore, producer: Producer) -> None:
        self._state = state
        self._producer = producer
        self._sent = 0
        self._confirmed = 0
        self._queued: deque[Packet] = deque()
        self._in_flight: deque[_InFlight] = deque()
        self._all_in_memory = False

    @property
    def pending(self) -> bool:
        return self.is_behind or bool(self._in_flight)

    @property
    def is_behind(self) -> bool:
        return bool(self._queued) or not self._all_in_memory

    def add(self, number: int, records: Sequence[OutgoingRecord]) -> None:
        """Queues a packet that was just committed."""
        if self._all_in_memory and len(self._queued) < _MAX_PACKETS:
            self._queued.append((number, records))
        else:
            self._read_from_disk()

    def flush(self, timeout: float, *, wait: bool = False) -> bool:
        """Posts all packets, and checks those in flight. `wait`: waits until the broker has all of them.

        Returns True if a packet arrived. Raises Retryable if the broker does not accept a packet within `timeout`
        seconds, NotAllowed if the daemon may not write to a topic; neither drops an event."""
        before = self._sent
        try:
            self._check_in_flight(timeout, wait=wait or not self._all_in_memory)
            self._send_from_disk(timeout)
            while self._queued:
                number, records = self._queued[0]
                self._in_flight.append(_InFlight(number, self._producer.post(records), time.monotonic()))
                self._queued.popleft()
                self._check_in_flight(timeout, wait=wait or len(self._in_flight) > _MAX_IN_FLIGHT)
        except CloudBuilderError as error:
            self._in_flight.clear()
            self._read_from_disk()
            if not isinstance(error, Rejected) or isinstance(error, NotAllowed):
                raise
            self._send_from_disk(timeout)
        return self._sent > before

    def confirm_sent(self) -> None:
        """Deletes sent packets from the outbox. Called inside a transaction."""
        if self._sent > self._confirmed:
            self._state.outbox_confirm(self._sent)

    def confirmed(self) -> None:
        """Notes that the transaction with `confirm_sent` was committed."""
        self._confirmed = self._sent

    def _check_in_flight(self, timeout: float, *, wait: bool) -> None:
        """Counts arrived packets, in order. A packet in flight for more than `timeout` seconds counts as lost."""
        while self._in_flight:
            oldest = self._in_flight[0]
            if wait or time.monotonic() - oldest.since > timeout:
                oldest.send.wait(timeout if wait else 0.0)
            elif not oldest.send.is_done():
                return
            self._sent = oldest.number
            self._in_flight.popleft()

    def _read_from_disk(self) -> None:
        self._queued.clear()
        self._all_in_memory = False

    def _send_from_disk(self, timeout: float) -> None:
        while not self._all_in_memory:
            packets = self._state.outbox(_MAX_PACKETS, after=self._sent)
            if packets:
                self._send([record for _, records in packets for record in records], timeout)
                self._sent = packets[-1][0]
            self._all_in_memory = len(packets) < _MAX_PACKETS

    def _send(self, records: list[OutgoingRecord], timeout: float) -> None:
        try:
            self._producer.send(records, timeout)
        except NotAllowed:
            raise
        except Rejected as error:
            if len(records) == 1:
                _LOG.error("event dropped: the broker will never take it", extra={"reason": str(error)})
                return
            for record in records:
                self._send([record], timeout)
