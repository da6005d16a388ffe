"""The time that daemons live by: that of the wall, without its jumps.

Leases, heartbeats and retries are differences of times. When somebody sets the machine's clock, those must not see it:
an hour back would silence a runner for an hour. So time goes on steadily from the start of the process, and follows
the wall by a tenth faster or slower until both agree again, as adjtime(3) does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_SLEW = 0.1
"""Seconds that are corrected a second, at most."""


class SteadyClock:
    """Called, it gives seconds since the epoch; never goes back. Thread-safe."""

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
