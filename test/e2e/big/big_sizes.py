"""Sizes and durations of the tests, their limits, and how memory is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from support.ctl_mesh import CtlMesh

MB = 1_000_000
FLAT = 150
"""The largest memory of a process in MB, for any size of its input."""


@dataclass(frozen=True)
class Sizes:
    """`artifact`, `log`: bytes; `seconds`: how long the long build takes; `kafka`: a real one, else the embedded."""

    units: int = 40
    runners: int = 5
    artifact: int = 24 * MB
    log: int = 8 * MB
    seconds: int = 15
    kafka: bool = False


FULL = Sizes(units=500, runners=20, artifact=2000 * MB, log=200 * MB, seconds=150, kafka=True)


def largest(pid: int) -> float:
    """MB that a process has needed at most so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / MB


def largest_of(mesh: CtlMesh, *daemons: str) -> dict[str, float]:
    return {name: round(largest(mesh.pid(name))) for name in daemons}


def disk_use(path: Path) -> float:
    """MB below a path, each file once however many names it has."""
    found = [entry.lstat() for entry in path.rglob("*") if entry.is_symlink() or entry.exists()]
    return sum({stat.st_ino: stat.st_blocks * 512 for stat in found}.values()) / MB
