"""The threads of a runner: one a slot, started when first needed and kept, because starting one for each short job
would cost more than the job.

Who rested last is called first, and one at a time: whoever comes takes the first piece of work and calls the next one
while some is left. So long work begins in as many threads as it needs, one shortly after the other; and of work that
takes no time one thread does much while the next is still waking up.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class BuildThreads:
    """Belongs to one thread, which gives the work. What is to be done must not raise."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all_rest = threading.Condition(self._lock)
        self._work: deque[Callable[[], None]] = deque()
        self._resting: list[threading.Lock] = []
        """The bells of those who rest, the last one at the end."""
        self._is_called = False
        """Somebody is on the way here."""
        self._threads = 0

    @property
    def threads(self) -> int:
        """How many threads were started so far."""
        return self._threads

    def submit(self, work: Callable[[], None], at_once: int) -> None:
        """Begins at once. `at_once`: how much is under way, this one with it."""
        with self._lock:
            self._work.append(work)
            self._call()
        if self._threads < at_once:
            self._threads += 1
            threading.Thread(target=self._go_on, name=f"slot-{self._threads}", daemon=True).start()

    def wait_idle(self, timeout: float) -> bool:
        """Waits until nothing is under way any more; False: not within `timeout` seconds."""
        with self._all_rest:
            return self._all_rest.wait_for(lambda: not self._work and len(self._resting) == self._threads, timeout)

    def _call(self) -> None:
        if self._work and self._resting and not self._is_called:
            self._is_called = True
            self._resting.pop().release()

    def _go_on(self) -> None:
        bell = threading.Lock()
        bell.acquire()
        while True:
            if (work := self._take(bell)) is not None:
                work()
            else:
                bell.acquire()
                self._is_called = False

    def _take(self, bell: threading.Lock) -> Callable[[], None] | None:
        """None: rest until the bell rings."""
        with self._lock:
            if not self._work:
                self._resting.append(bell)
                self._all_rest.notify_all()
                return None
            work = self._work.popleft()
            self._call()
            return work
