"""The resource usage of a run at one moment, read from /proc. Processes start and end while it is read.

Memory in tmpfs, memfds and shared mappings is not counted here: it belongs to no single process. The stage measures it,
when it has grown on the machine as a whole (`shared_memory`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PAGE = 4096
_FULL_BYTES, _FULL_FILES = 4 * 1024 * 1024, 64
"""A disk with less free space, or fewer free inodes, counts as full: a build fails on it sooner or later."""


@dataclass(frozen=True)
class ResourceUsage:
    """Usage of a process tree. `memory`: bytes that are backed by no file. `tasks`: processes and their threads."""

    memory: int
    tasks: int


def of_tree(pid: int) -> ResourceUsage:
    """Returns the usage of a process and all its descendants; `tasks` does not count the process itself."""
    memory, tasks, unread = 0, -1, [pid]
    while unread:
        process = Path(f"/proc/{unread.pop()}")
        try:
            _, resident, shared, *_ = (process / "statm").read_text(encoding="ascii").split()
            memory += max(0, int(resident) - int(shared)) * _PAGE
            for task in (process / "task").iterdir():
                tasks += 1
                unread += [int(child) for child in (task / "children").read_text(encoding="ascii").split()]
        except (OSError, ValueError):
            continue
    return ResourceUsage(memory, max(tasks, 0))


def shared_memory() -> int:
    """Returns the bytes of shared and file-system memory on the whole machine."""
    return _numbers(Path("/proc/meminfo"), "Shmem:") * 1024


def out_of_memory_kills() -> int:
    """Returns the number of processes that the kernel of this machine has killed for lack of memory since the boot."""
    return _numbers(Path("/proc/vmstat"), "oom_kill")


def is_full(path: Path) -> bool:
    """True if the file system of a path has no room left for the files of builds."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize < _FULL_BYTES or (status.f_files > 0 and status.f_favail < _FULL_FILES)


def _numbers(file: Path, key: str) -> int:
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.split()[0] == key), 0)
