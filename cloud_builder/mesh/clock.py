"""The clock of the daemons: wall-clock time without its jumps.

Leases, heartbeats and retries are differences of times, which must not change when somebody sets the machine's clock:
set back by an hour, a runner would look silent for an hour. The clock therefore runs steadily from the start of the
process, and up to a tenth faster or slower until it agrees with the wall clock again, as adjtime(3) does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_SLEW = 0.1
"""Seconds that are corrected in a second, at most."""


class SteadyClock:
    """A clock: a call returns seconds since the epoch, never less than the call before. Thread-safe."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall, self._steady = wall, steady
        self._lock = threading.Lock()
        self._now, self._at = wall(), steady()

    def __call__(self) -> float:
        with self._lock:
            at = self._steady()
            passed = at - self._at
            expected = self._now + passed
            most = passed * _SLEW
            self._now = expected + min(max(self._wall() - expected, -most), most)
            self._at = at
            return self._now
