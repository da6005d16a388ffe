"""Measures disk and shared memory of a run. Only the stage can: it has the ids and capabilities of the user namespace.

Input: the directories of the run, or its pid 1. Output: bytes. The confined programs run on in the meantime, so each
file and process may have ended when it is read.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

_BLOCK_BYTES = 512
_MIN_FILE_BYTES = 4096
"""What each file counts as at least; otherwise empty files could use up all inodes of the disk."""
_MEMORY_DIRECTORIES = ("/dev/shm", "/run")


def disk_used(directories: list[str], is_interrupted: Callable[[], bool]) -> int:
    """Returns the bytes of all files below the directories; fewer when `is_interrupted` becomes True."""
    used, unread, seen = 0, directories, set()
    while unread and not is_interrupted():
        try:
            with os.scandir(unread.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if status.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                        if status.st_ino in seen:
                            continue
                        seen.add(status.st_ino)
                    used += max(status.st_blocks * _BLOCK_BYTES, _MIN_FILE_BYTES)
                    if entry.is_dir(follow_symlinks=False):
                        unread.append(entry.path)
        except OSError:
            continue
    return used


def shared_used(init: int, is_interrupted: Callable[[], bool]) -> int:
    """Returns the bytes of memory in file systems, memfds, System V segments and shared mappings.

    Memory that several processes map counts for each of them: the result is an upper bound."""
    probe = os.memfd_create("probe")
    memory_device = os.fstat(probe).st_dev
    os.close(probe)
    files: dict[int, int] = {}
    mapped, mounts, unread = 0, 0, [init]
    while unread and not is_interrupted():
        pid = unread.pop()
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                unread += [int(child) for child in _text(f"/proc/{pid}/task/{task}/children").split()]
            mapped += _mapped(pid)
            files |= _open_files(pid, memory_device)
            mounts = mounts or sum(_used(f"/proc/{pid}/root{path}") for path in _MEMORY_DIRECTORIES)
    return mapped + sum(files.values()) + mounts + _system_v()


def _mapped(pid: int) -> int:
    for line in _text(f"/proc/{pid}/status").splitlines():
        if line.startswith("RssShmem:"):
            return int(line.split()[1]) * 1024
    return 0


def _open_files(pid: int, device: int) -> dict[int, int]:
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            status = os.stat(f"/proc/{pid}/fd/{name}")
            if status.st_dev == device:
                found[status.st_ino] = status.st_blocks * _BLOCK_BYTES
    return found


def _used(path: str) -> int:
    status = os.statvfs(path)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def _system_v() -> int:
    """Returns the bytes of System V segments of this ipc namespace, which is that of the run."""
    names, *lines = [line.split() for line in _text("/proc/sysvipc/shm").splitlines()] or [[]]
    return sum(int(line[names.index("rss")]) for line in lines)


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
