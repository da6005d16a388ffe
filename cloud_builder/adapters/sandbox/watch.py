"""The limits of one run, as decided from what has been seen of it. Time is an argument; nothing here ends a process.

Comes in: pieces of output, samples of memory, free space and measured use of the disk. Goes out: which limit is
reached first, and when to measure the disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cloud_builder.model.limits import Limits
from cloud_builder.ports.sandbox import EndedBy

_MEASURE_AFTER = 2.0
"""Seconds between two measurements of the disk at least."""
_MEASURE_ALWAYS = 30.0
_PAGE = 4096


@dataclass
class Watch:
    """`now` of every call: seconds of one steady clock. `free`: bytes free on the file system of the changes."""

    limits: Limits | None
    started: float
    free_at_start: int
    logged: int = 0
    peak_memory: int = 0
    _last_output: float = field(init=False)
    _last_measured: float = field(init=False)
    _verdict: EndedBy | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._last_output = self._last_measured = self.started

    @property
    def verdict(self) -> EndedBy | None:
        """The limit that was reached first."""
        return self._verdict

    def output(self, now: float, size: int) -> None:
        self._last_output = now
        self.logged += size
        if self.limits and self.logged > self.limits.log:
            self._say(EndedBy.LOG)

    def memory(self, used: int) -> None:
        self.peak_memory = max(self.peak_memory, used)
        if self.limits and used > self.limits.memory:
            self._say(EndedBy.MEMORY)

    def disk(self, used: int) -> None:
        if self.limits and used > self.limits.disk:
            self._say(EndedBy.DISK)

    def clock(self, now: float) -> None:
        if self.limits and now - self.started > self.limits.time:
            self._say(EndedBy.TIME)
        if self.limits and now - self._last_output > self.limits.silence:
            self._say(EndedBy.SILENCE)

    def wants_disk(self, now: float, free: int) -> bool:
        """True when the changes are to be measured now: free space alone cannot tell whose the use is."""
        if self.limits is None:
            return False
        suspicious = self.free_at_start - free > self.limits.disk
        due = now - self._last_measured > (_MEASURE_AFTER if suspicious else _MEASURE_ALWAYS)
        if due:
            self._last_measured = now
        return due

    def _say(self, limit: EndedBy) -> None:
        self._verdict = self._verdict or limit


def memory_of_tree(pid: int) -> int:
    """Bytes of memory of a process and all its descendants that no file backs. Processes come and go meanwhile."""
    total, left = 0, [pid]
    while left:
        one = Path(f"/proc/{left.pop()}")
        try:
            _, resident, shared, *_ = (one / "statm").read_text(encoding="ascii").split()
            total += max(0, int(resident) - int(shared)) * _PAGE
            for task in (one / "task").iterdir():
                left += [int(child) for child in (task / "children").read_text(encoding="ascii").split()]
        except (OSError, ValueError):
            continue
    return total
