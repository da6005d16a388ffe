"""Waits for a condition, with a limit that holds on a busy machine.

Use it instead of `time.sleep` and of a deadline in the test. The limit is no assertion: it only ends a test that would
otherwise hang. Where time itself is the subject of a test, pass a clock to what is tested.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

LIMIT = 120.0  # seconds; far below pytest's own limit, far above what a loaded machine needs for one step
FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.25  # seconds between two checks: short waits end soon, long ones cost little

T = TypeVar("T")


def until(condition: Callable[[], T], what: str | Callable[[], str], limit: float = LIMIT) -> T:
    """Calls `condition` until it returns a true value, and returns that value.

    condition   what it raises is not caught
    what        completes "waited for …"; a function is called only on expiry, for text that is costly (logs)
    limit       seconds; the condition is checked at least once, and once more after the limit has passed

    Raises AssertionError on expiry, with `what` and the last value. A pause lasts at least as long as the check before
    it, so that a costly condition (a command, a query) takes no more than half of a core.
    """
    started, pause = time.monotonic(), FIRST_PAUSE
    while True:
        checked = time.monotonic()
        if value := condition():
            return value
        now = time.monotonic()
        if now - started >= limit:
            description = what if isinstance(what, str) else what()
            raise AssertionError(f"waited {now - started:.0f} s for {description}; last seen: {value!r}")
        time.sleep(max(pause, min(now - checked, 1.0)))
        pause = min(pause * 1.5, LONGEST_PAUSE)
