"""Sends what transactions left in the outbox, in order, and remembers how far it got.

A packet (all that one transaction says) comes here when it is committed, and is sent from memory; the outbox is read
after a crash, and when more waits for the broker than should lie in memory.
A confirmation is not a transaction of its own: it waits for the next one (`settle`). A crash in between sends a few
events twice, which every reader expects.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence

from cloud_builder.errors import Rejected
from cloud_builder.ports.broker import Outgoing, Producer
from cloud_builder.ports.state import StateStore

_MOST = 100
"""Packets sent in one go."""
_LOG = logging.getLogger("cb.mesh")
Packet = tuple[int, Sequence[Outgoing]]


class Relay:
    """`pending` is True while the outbox may hold something that was not sent."""

    def __init__(self, state: StateStore, producer: Producer) -> None:
        self._state = state
        self._producer = producer
        self._sent = 0
        self._confirmed = 0
        self._fresh: deque[Packet] = deque()
        self._all_in_memory = False

    @property
    def pending(self) -> bool:
        return bool(self._fresh) or not self._all_in_memory

    def add(self, number: int, records: Sequence[Outgoing]) -> None:
        """A packet that was just committed."""
        if self._all_in_memory and len(self._fresh) < _MOST:
            self._fresh.append((number, records))
        else:
            self._fresh.clear()
            self._all_in_memory = False

    def pump(self, timeout: float) -> bool:
        """Sends all there is; True when there was something. Retryable when the broker does not take it within
        `timeout` seconds a piece."""
        before = self._sent
        while self.pending:
            packets = list(self._fresh) if self._all_in_memory else self._state.outbox(_MOST, after=self._sent)
            if packets:
                self._send([record for _, records in packets for record in records], timeout)
                self._sent = packets[-1][0]
            self._fresh.clear()
            self._all_in_memory = self._all_in_memory or len(packets) < _MOST
        return self._sent > before

    def settle(self) -> None:
        """Inside a transaction: takes what was sent out of the outbox."""
        if self._sent > self._confirmed:
            self._state.outbox_confirm(self._sent)

    def settled(self) -> None:
        """That transaction was committed."""
        self._confirmed = self._sent

    def _send(self, records: list[Outgoing], timeout: float) -> None:
        try:
            self._producer.send(records, timeout)
        except Rejected as error:
            if len(records) == 1:
                _LOG.error("event dropped: the broker will never take it", extra={"reason": str(error)})
                return
            for record in records:
                self._send([record], timeout)
