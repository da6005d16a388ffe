"""How much a run uses of what only the stage can see: it has the ids and the capabilities of the user namespace.

Comes in: the directories of the run, or its pid 1. Goes out: bytes. Runs while the confined programs go on, so
everything may be gone when it is looked at.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

_BLOCK = 512
_LEAST = 4096
"""Bytes that any file counts as: without this, empty files would fill the disk's list of files for nothing."""
_IN_MEMORY = ("/dev/shm", "/run")


def disk_used(directories: list[str], hurry: Callable[[], bool]) -> int:
    """Bytes of everything below; cut short when `hurry`."""
    used, left, seen = 0, directories, set()
    while left and not hurry():
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    about = entry.stat(follow_symlinks=False)
                    if about.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                        if about.st_ino in seen:
                            continue
                        seen.add(about.st_ino)
                    used += max(about.st_blocks * _BLOCK, _LEAST)
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
        except OSError:
            continue
    return used


def shared_used(init: int, hurry: Callable[[], bool]) -> int:
    """Bytes of memory in file systems, memfds, System V segments and shared mappings; at least what there is."""
    probe = os.memfd_create("probe")
    memory_device = os.fstat(probe).st_dev
    os.close(probe)
    files: dict[int, int] = {}
    mapped, mounts, left = 0, 0, [init]
    while left and not hurry():
        pid = left.pop()
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                left += [int(child) for child in _text(f"/proc/{pid}/task/{task}/children").split()]
            mapped += _mapped(pid)
            files |= _open_files(pid, memory_device)
            mounts = mounts or sum(_used(f"/proc/{pid}/root{path}") for path in _IN_MEMORY)
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
            about = os.stat(f"/proc/{pid}/fd/{name}")
            if about.st_dev == device:
                found[about.st_ino] = about.st_blocks * _BLOCK
    return found


def _used(path: str) -> int:
    about = os.statvfs(path)
    return (about.f_blocks - about.f_bfree) * about.f_frsize


def _system_v() -> int:
    """Of our ipc namespace, which is the run's."""
    names, *lines = [line.split() for line in _text("/proc/sysvipc/shm").splitlines()] or [[]]
    return sum(int(line[names.index("rss")]) for line in lines)


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
