"""Sends what transactions left in the outbox, in order, and remembers how far it got.

A packet (all that one transaction says) comes here when it is committed. It is posted from memory, and the next batch
is worked on while it is under way. The outbox is read after a crash, when something did not arrive, and when more waits
for the broker than should lie in memory; then each packet is waited for.
A confirmation is not a transaction of its own: it waits for the next one (`settle`). A crash in between sends a few
events twice, which every reader expects.
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

_MOST = 100
"""Packets sent in one go, and waiting in memory."""
_UNDER_WAY = 8
"""Packets posted before the oldest is waited for."""
_LOG = logging.getLogger("cb.mesh")
Packet = tuple[int, Sequence[OutgoingRecord]]


class _UnderWay(NamedTuple):
    number: int
    posted: PendingSend
    since: float


class OutboxRelay:
    """`pending` is True while the outbox may hold something that the broker does not have; `is_behind` while some of it
    was not even posted."""

    def __init__(self, state: StateStore, producer: Producer) -> None:
        self._state = state
        self._producer = producer
        self._sent = 0
        self._confirmed = 0
        self._fresh: deque[Packet] = deque()
        self._under_way: deque[_UnderWay] = deque()
        self._all_in_memory = False

    @property
    def pending(self) -> bool:
        return self.is_behind or bool(self._under_way)

    @property
    def is_behind(self) -> bool:
        return bool(self._fresh) or not self._all_in_memory

    def add(self, number: int, records: Sequence[OutgoingRecord]) -> None:
        """A packet that was just committed."""
        if self._all_in_memory and len(self._fresh) < _MOST:
            self._fresh.append((number, records))
        else:
            self._read_outbox_from_now_on()

    def flush(self, timeout: float, *, wait: bool = False) -> bool:
        """Posts all there is, and looks at what was posted before; `wait`: until the broker has it. True when something
        arrived. Retryable when the broker does not take it within `timeout` seconds a piece, NotAllowed when we may not
        write there: nothing is dropped for that."""
        before = self._sent
        try:
            self._look(timeout, wait=wait or not self._all_in_memory)
            self._catch_up(timeout)
            while self._fresh:
                number, records = self._fresh[0]
                self._under_way.append(_UnderWay(number, self._producer.post(records), time.monotonic()))
                self._fresh.popleft()
                self._look(timeout, wait=wait or len(self._under_way) > _UNDER_WAY)
        except CloudBuilderError as error:
            self._under_way.clear()
            self._read_outbox_from_now_on()
            if not isinstance(error, Rejected) or isinstance(error, NotAllowed):
                raise
            self._catch_up(timeout)
        return self._sent > before

    def confirm_sent(self) -> None:
        """Inside a transaction: takes what was sent out of the outbox."""
        if self._sent > self._confirmed:
            self._state.outbox_confirm(self._sent)

    def confirmed(self) -> None:
        """That transaction was committed."""
        self._confirmed = self._sent

    def _look(self, timeout: float, *, wait: bool) -> None:
        """Counts what has arrived, in order. Too long under way is as good as lost."""
        while self._under_way:
            oldest = self._under_way[0]
            if wait or time.monotonic() - oldest.since > timeout:
                oldest.posted.wait(timeout if wait else 0.0)
            elif not oldest.posted.is_done():
                return
            self._sent = oldest.number
            self._under_way.popleft()

    def _read_outbox_from_now_on(self) -> None:
        self._fresh.clear()
        self._all_in_memory = False

    def _catch_up(self, timeout: float) -> None:
        while not self._all_in_memory:
            packets = self._state.outbox(_MOST, after=self._sent)
            if packets:
                self._send([record for _, records in packets for record in records], timeout)
                self._sent = packets[-1][0]
            self._all_in_memory = len(packets) < _MOST

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
