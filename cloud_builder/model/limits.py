"""The limits of one attempt."""

from __future__ import annotations

from pydantic import Field

from .frozen import LenientModel

MIB = 1024 * 1024


class Limits(LenientModel):
    """Upper bounds of one attempt. An attempt that reaches one ends as `failure`, and the message names the limit."""

    memory: int = Field(default=4096 * MIB, gt=0)
    """Bytes of memory."""
    disk: int = Field(default=20480 * MIB, gt=0)
    """Bytes of files that the build makes."""
    log: int = Field(default=256 * MIB, gt=0)
    """Bytes of log."""
    processes: int = Field(default=2048, gt=0)
    """Processes and threads at the same time."""
    cpu: int = Field(default=0, ge=0)
    """CPU cores (parallel jobs of the build); 0: as many as the runner has."""
    time: float = Field(default=3600.0, gt=0)
    """Seconds of one program of the build."""
    silence: float = Field(default=900.0, gt=0)
    """Seconds without a line of log."""
    deadline: float = Field(default=0.0, ge=0)
    """Seconds of the whole attempt, with fetching, build root, dependencies and upload; 0: four times `time`."""

    @property
    def whole(self) -> float:
        """Seconds of the whole attempt, with the default filled in."""
        return self.deadline or 4 * self.time
