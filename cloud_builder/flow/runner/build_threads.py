"""A thread pool with one thread for each slot, started when first needed and kept.

Starting a thread for each short job would cost more than the job. The thread that became idle last gets the next task.
Only one idle thread is woken at a time; it takes a task and wakes the next thread if tasks are left. Long tasks thus
begin in as many threads as they need, one shortly after the other. Very short tasks run in few threads: one thread
does many of them while another one is still waking up.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class BuildThreads:
    """The thread pool. One thread submits tasks; tasks must not raise."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all_idle = threading.Condition(self._lock)
        self._tasks: deque[Callable[[], None]] = deque()
        self._idle: list[threading.Lock] = []
        """A locked lock for each idle thread, which waits for its release; the last one became idle last."""
        self._is_waking = False
        """A thread was woken and has not run yet."""
        self._threads = 0

    @property
    def threads(self) -> int:
        """The number of threads started so far."""
        return self._threads

    def submit(self, task: Callable[[], None], active: int) -> None:
        """Starts a task without delay. `active`: how many tasks are running or queued, this one included."""
        with self._lock:
            self._tasks.append(task)
            self._wake_one()
        if self._threads < active:
            self._threads += 1
            threading.Thread(target=self._run_tasks, name=f"slot-{self._threads}", daemon=True).start()

    def wait_idle(self, timeout: float) -> bool:
        """Waits until all tasks have ended; False if they have not within `timeout` seconds."""
        with self._all_idle:
            return self._all_idle.wait_for(lambda: not self._tasks and len(self._idle) == self._threads, timeout)

    def _wake_one(self) -> None:
        if self._tasks and self._idle and not self._is_waking:
            self._is_waking = True
            self._idle.pop().release()

    def _run_tasks(self) -> None:
        wake_up = threading.Lock()
        wake_up.acquire()
        while True:
            if (task := self._next_task(wake_up)) is not None:
                task()
            else:
                wake_up.acquire()
                self._is_waking = False

    def _next_task(self, wake_up: threading.Lock) -> Callable[[], None] | None:
        """Returns a task; None: the thread is idle now and waits for the release of `wake_up`."""
        with self._lock:
            if not self._tasks:
                self._idle.append(wake_up)
                self._all_idle.notify_all()
                return None
            task = self._tasks.popleft()
            self._wake_one()
            return task
