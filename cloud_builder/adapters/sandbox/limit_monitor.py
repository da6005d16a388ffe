"""Decides which limit a run has exceeded. Time is an argument; ends no process.

Input: pieces of output, samples of memory and free space, measurements of the disk. Output: the limit that was exceeded
first, and when to measure the disk and shared memory: a measurement costs the stage a walk over all files.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cloud_builder.model.limits import Limits
from cloud_builder.ports.sandbox import EndReason

_DISK_INTERVAL, _IDLE_DISK_INTERVAL = 2.0, 30.0
"""Seconds between two measurements of the disk, when free space suggests that the limit is exceeded, and else."""
_SHARED_INTERVAL = 0.5
"""Seconds between two measurements of shared memory."""
_SAMPLE_INTERVAL, _MIN_SAMPLE_INTERVAL = 0.25, 0.025
"""Seconds between two samples of the usage: as a rule, and when little of the memory is left."""
_FILL_RATE = 4 * 1024**3
"""Bytes of memory that a build fills in a second at most, roughly."""
_MIN_SHARED_BYTES = 16 * 1024 * 1024
"""Growth of the machine's shared memory below which it is not measured."""


@dataclass
class LimitMonitor:
    """The limits of one run and what it has used. `now` in all methods: seconds of one monotonic clock.

    started           when the run started
    free_at_start     bytes that were free on the file system of the changes
    shared_at_start   bytes of memory in files and segments on the whole machine
    logged            bytes of output so far
    """

    limits: Limits | None
    started: float
    free_at_start: int
    shared_at_start: int = 0
    logged: int = 0
    peak_memory: int = 0
    _last_memory: int = field(init=False, default=0)
    _last_output: float = field(init=False)
    _last_measured: float = field(init=False)
    _last_shared: float = field(init=False)
    _shared: int = field(init=False, default=0)
    _shared_growth: int = field(init=False, default=0)
    _exceeded: EndReason | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._last_output = self._last_measured = self._last_shared = self.started

    @property
    def exceeded(self) -> EndReason | None:
        """The limit that was exceeded first."""
        return self._exceeded

    def output(self, now: float, size: int) -> None:
        self._last_output = now
        self.logged += size
        if self.limits and self.logged > self.limits.log:
            self._exceed(EndReason.LOG)

    def memory(self, used: int) -> None:
        total = self._last_memory = used + self._shared
        self.peak_memory = max(self.peak_memory, total)
        if self.limits and total > self.limits.memory:
            self._exceed(EndReason.MEMORY)

    @property
    def sample_interval(self) -> float:
        """Seconds until the next sample of memory: the less is left of the limit, the sooner.

        No limit of the kernel stops a build that fills memory between two samples, unless it has a control group."""
        if self.limits is None:
            return _SAMPLE_INTERVAL
        left = (self.limits.memory - self._last_memory) / _FILL_RATE
        return min(_SAMPLE_INTERVAL, max(_MIN_SAMPLE_INTERVAL, left))

    def shared(self, used: int) -> None:
        """Records memory in files and segments. It is added to each sample of `memory` until the next measurement.

        The measurement counts memory that two processes share twice. The growth on the whole machine since the start
        is therefore the maximum."""
        self._shared = min(used, self._shared_growth)

    def processes(self, tasks: int) -> None:
        if self.limits and tasks > self.limits.processes:
            self._exceed(EndReason.PROCESSES)

    def disk(self, used: int) -> None:
        if self.limits and used > self.limits.disk:
            self._exceed(EndReason.DISK)

    def clock(self, now: float) -> None:
        if self.limits and now - self.started > self.limits.time:
            self._exceed(EndReason.TIME)
        if self.limits and now - self._last_output > self.limits.silence:
            self._exceed(EndReason.SILENCE)

    def wants_disk(self, now: float, free: int) -> bool:
        """True when the disk has to be measured now. Free space alone does not show which run uses the disk."""
        if self.limits is None:
            return False
        is_suspicious = self.free_at_start - free > self.limits.disk
        is_due = now - self._last_measured > (_DISK_INTERVAL if is_suspicious else _IDLE_DISK_INTERVAL)
        if is_due:
            self._last_measured = now
        return is_due

    def wants_shared(self, now: float, shared: int) -> bool:
        """True when memory in files and segments has to be measured now. `shared`: bytes of the whole machine."""
        self._shared_growth = max(0, shared - self.shared_at_start)
        if self._shared_growth < _MIN_SHARED_BYTES:
            self._shared = 0
            return False
        is_due = now - self._last_shared > _SHARED_INTERVAL
        if is_due:
            self._last_shared = now
        return is_due

    def _exceed(self, limit: EndReason) -> None:
        self._exceeded = self._exceeded or limit
