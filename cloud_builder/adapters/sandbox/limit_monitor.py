"""The limits of one run, as decided from what has been seen of it. Time is an argument; nothing here ends a process.

Comes in: pieces of output, samples of memory, free space and measured use of the disk. Goes out: which limit is
reached first, and when to measure the disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cloud_builder.model.limits import Limits
from cloud_builder.ports.sandbox import EndReason

_MEASURE_AFTER = 2.0
"""Seconds between two measurements of the disk at least."""
_MEASURE_ALWAYS = 30.0
_MEASURE_SHARED_AFTER = 0.5
_LITTLE_SHARED = 16 * 1024 * 1024
"""Bytes that are not worth a measurement."""


@dataclass
class LimitMonitor:
    """`now` of every call: seconds of one steady clock. `free`: bytes free on the file system of the changes.

    `shared_at_start`: bytes of memory in files and segments on the whole machine."""

    limits: Limits | None
    started: float
    free_at_start: int
    shared_at_start: int = 0
    logged: int = 0
    peak_memory: int = 0
    _last_output: float = field(init=False)
    _last_measured: float = field(init=False)
    _last_shared: float = field(init=False)
    _shared: int = field(init=False, default=0)
    _shared_growth: int = field(init=False, default=0)
    _verdict: EndReason | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._last_output = self._last_measured = self._last_shared = self.started

    @property
    def exceeded(self) -> EndReason | None:
        """The limit that was reached first."""
        return self._verdict

    def output(self, now: float, size: int) -> None:
        self._last_output = now
        self.logged += size
        if self.limits and self.logged > self.limits.log:
            self._say(EndReason.LOG)

    def memory(self, used: int) -> None:
        total = used + self._shared
        self.peak_memory = max(self.peak_memory, total)
        if self.limits and total > self.limits.memory:
            self._say(EndReason.MEMORY)

    def shared(self, used: int) -> None:
        """Memory in files and segments; counts with all samples of `memory` until it is measured again.

        The measure counts what two processes share twice; more than the whole machine has got since cannot be ours."""
        self._shared = min(used, self._shared_growth)

    def processes(self, tasks: int) -> None:
        if self.limits and tasks > self.limits.processes:
            self._say(EndReason.PROCESSES)

    def disk(self, used: int) -> None:
        if self.limits and used > self.limits.disk:
            self._say(EndReason.DISK)

    def clock(self, now: float) -> None:
        if self.limits and now - self.started > self.limits.time:
            self._say(EndReason.TIME)
        if self.limits and now - self._last_output > self.limits.silence:
            self._say(EndReason.SILENCE)

    def wants_disk(self, now: float, free: int) -> bool:
        """True when the changes are to be measured now: free space alone cannot tell whose the use is."""
        if self.limits is None:
            return False
        suspicious = self.free_at_start - free > self.limits.disk
        due = now - self._last_measured > (_MEASURE_AFTER if suspicious else _MEASURE_ALWAYS)
        if due:
            self._last_measured = now
        return due

    def wants_shared(self, now: float, shared: int) -> bool:
        """True when memory in files and segments is to be measured now; `shared`: bytes of the whole machine."""
        self._shared_growth = max(0, shared - self.shared_at_start)
        if self._shared_growth < _LITTLE_SHARED:
            self._shared = 0
            return False
        due = now - self._last_shared > _MEASURE_SHARED_AFTER
        if due:
            self._last_shared = now
        return due

    def _say(self, limit: EndReason) -> None:
        self._verdict = self._verdict or limit
