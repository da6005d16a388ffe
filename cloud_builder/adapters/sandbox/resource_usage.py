"""What a run uses of the machine right now, as /proc tells. Processes come and go while it is read.

Memory that files in memory back (tmpfs, memfd, shared mappings) is nobody's own: only the stage can count it, when the
machine as a whole says that there is more of it (`shared_memory`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PAGE = 4096
_NO_ROOM, _NO_FILES = 4 * 1024 * 1024, 64
"""With less than that on its disk, bytes or files, a build fails of it sooner or later."""


@dataclass(frozen=True)
class ResourceUsage:
    """`memory`: bytes that no file backs. `tasks`: processes and their threads."""

    memory: int
    tasks: int


def of_tree(pid: int) -> ResourceUsage:
    """Of a process and all its descendants; `tasks` without the process itself."""
    memory, tasks, left = 0, -1, [pid]
    while left:
        one = Path(f"/proc/{left.pop()}")
        try:
            _, resident, shared, *_ = (one / "statm").read_text(encoding="ascii").split()
            memory += max(0, int(resident) - int(shared)) * _PAGE
            for task in (one / "task").iterdir():
                tasks += 1
                left += [int(child) for child in (task / "children").read_text(encoding="ascii").split()]
        except (OSError, ValueError):
            continue
    return ResourceUsage(memory, max(tasks, 0))


def shared_memory() -> int:
    """Bytes of shared and file-system memory on the whole machine."""
    return _numbers(Path("/proc/meminfo"), "Shmem:") * 1024


def out_of_memory_kills() -> int:
    """How many processes of this machine the kernel has killed for lack of memory since it booted."""
    return _numbers(Path("/proc/vmstat"), "oom_kill")


def is_full(place: Path) -> bool:
    """Whether the file system that a path lies on has no room left for what builds write."""
    about = os.statvfs(place)
    return about.f_bavail * about.f_frsize < _NO_ROOM or (about.f_files > 0 and about.f_favail < _NO_FILES)


def _numbers(file: Path, key: str) -> int:
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.split()[0] == key), 0)
