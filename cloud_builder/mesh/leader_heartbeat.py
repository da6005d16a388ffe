"""The leader's word while it works on something long: planning a whole distribution takes longer than a leader may be
silent, and a standby that took over would only begin the same.

A thread of its own writes `leader/leader` past the outbox, between the packets (the order of which it does not touch,
because nobody else writes that key). It keeps silent once the loop has done nothing for minutes: that is no work.
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
"""Seconds: as long as systemd waits for a sign of life."""


class LeaderHeartbeat:
    """`send` must be thread-safe; it hears of a successor (Fenced), and so does the loop, which acts on it."""

    def __init__(
        self,
        reign: LeaderEpoch,
        send: Callable[[Sequence[OutgoingRecord]], None],
        every: float = HEARTBEAT_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reign, self._send, self._every, self._clock = reign, send, every, clock
        self._worked = self._said = clock()
        self._over = Event()
        self._thread = Thread(target=self._speak, name="voice", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def progressed(self) -> None:
        """The loop has come round; it speaks for itself."""
        self._worked = self._said = self._clock()

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _speak(self) -> None:
        while not self._over.wait(self._every / 3):
            now = self._clock()
            if now - self._said > self._every and now - self._worked < MAX_STALL:
                self._said = now
                with suppress(CloudBuilderError):
                    self._send([self._word()])

    def _word(self) -> OutgoingRecord:
        body = {"id": self._reign.id, "epoch": self._reign.epoch, "at": time.time()}
        change = StateChanged.of(f"{LEADER}/{LEADER}", body)
        return encode(change, source="cb-scheduler", id=str(uuid4()), time=time.time())
