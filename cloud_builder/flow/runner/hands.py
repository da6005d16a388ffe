"""The threads of a runner: one a slot, started when first needed and kept, because starting one for each short job
would cost more than the job."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Hands:
    """Belongs to one thread, which gives the work. What is to be done must not raise."""

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._threads = 0
        self._changed = threading.Condition()
        self._under_way = 0

    def do(self, work: Callable[[], None], at_once: int) -> None:
        """Begins at once. `at_once`: how much is under way, this one with it."""
        with self._changed:
            self._under_way += 1
        self._work.put(work)
        if self._threads < at_once:
            self._threads += 1
            threading.Thread(target=self._go_on, name=f"slot-{self._threads}", daemon=True).start()

    def rest(self, timeout: float) -> bool:
        """Waits until nothing is under way any more; False: not within `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._under_way, timeout)

    def _go_on(self) -> None:
        while True:
            self._work.get()()
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()
