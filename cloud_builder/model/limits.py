"""What one attempt may use."""

from __future__ import annotations

from pydantic import Field

from .frozen import LenientModel

MIB = 1024 * 1024


class Limits(LenientModel):
    """Upper bounds of one attempt: bytes, seconds, counts. Reaching one ends it as `failure`, with the limit named."""

    memory: int = Field(default=4096 * MIB, gt=0)
    disk: int = Field(default=20480 * MIB, gt=0)
    log: int = Field(default=256 * MIB, gt=0)
    processes: int = Field(default=2048, gt=0)
    cpu: int = Field(default=0, ge=0)
    """CPU cores (parallel jobs of the build); 0: as many as the runner has."""
    time: float = Field(default=3600.0, gt=0)
    """Seconds of one program of the build."""
    silence: float = Field(default=900.0, gt=0)
    """Seconds without a line of log."""
    deadline: float = Field(default=0.0, ge=0)
    """Seconds of the whole attempt, with fetching, root, dependencies and upload; 0: four times `time`."""

    @property
    def whole(self) -> float:
        """Seconds that an attempt has."""
        return self.deadline or 4 * self.time
