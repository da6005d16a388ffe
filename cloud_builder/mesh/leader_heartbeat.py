"""Sends the leader's heartbeat from a thread during a long transaction.

Planning a whole distribution takes longer than a leader may be silent, and a standby that took over would only start
the same work again. The thread writes `leader/leader` directly, bypassing the outbox, between its packets. Their order
does not change, because no other process writes that key. The thread stops after `MAX_STALL` seconds without progress
of the main loop, so that a hung leader is replaced.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event, Thread
from uuid import uuid4

from cloud_builder.errors import CloudBuilderError
from cloud_builder.model.events import StateChanged
from cloud_builder.ports.broker import OutgoingRecord

from .changelog import LEADER
from .codec import encode
from .leadership import HEARTBEAT_INTERVAL, LeaderEpoch

MAX_STALL = 180.0
"""Seconds without progress of the loop: as long as systemd waits for a sign of life."""


class LeaderHeartbeat:
    """The heartbeat of one leader.

    `send` must be thread-safe. After a successor took over it raises Fenced, which the thread ignores: the loop gets
    the same error and acts on it. `every`: seconds without a heartbeat of the loop after which the thread sends one."""

    def __init__(
        self,
        epoch: LeaderEpoch,
        send: Callable[[Sequence[OutgoingRecord]], None],
        every: float = HEARTBEAT_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._epoch, self._send, self._every, self._clock = epoch, send, every, clock
        self._last_progress = self._last_heartbeat = clock()
        self._closed = Event()
        self._thread = Thread(target=self._run, name="leader-heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def progressed(self) -> None:
        """Notes an iteration of the loop, which sends its own heartbeats."""
        self._last_progress = self._last_heartbeat = self._clock()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(self._every / 3):
            now = self._clock()
            if now - self._last_heartbeat > self._every and now - self._last_progress < MAX_STALL:
                self._last_heartbeat = now
                with suppress(CloudBuilderError):
                    self._send([self._heartbeat()])

    def _heartbeat(self) -> OutgoingRecord:
        body = {"id": self._epoch.id, "epoch": self._epoch.epoch, "at": time.time()}
        change = StateChanged.of(f"{LEADER}/{LEADER}", body)
        return encode(change, source="cb-scheduler", id=str(uuid4()), time=time.time())
