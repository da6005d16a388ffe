"""Directories that are locked while in use, so that the leftovers of a killed process can be recognized.

Each user of a directory holds a lock on the directory itself (flock(2)): an exclusive one while it is written, a shared
one while it is read. The kernel releases the locks of a process that dies: a directory without a lock is abandoned.
Threads and processes may share the parent directory, as the runner and `cb-ctl build` do.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from .locks import try_lock


@contextlib.contextmanager
def own_directory(directory: Path) -> Iterator[Path]:
    """Creates the directory (mode 0700) and locks it exclusively for the time of the block. The caller deletes it.

    Raises FileExistsError when it exists. A sweep of another process may delete the directory between creation and
    lock; then it is created again."""
    with contextlib.ExitStack() as locks:
        while True:
            directory.mkdir(mode=0o700, parents=True)
            with contextlib.suppress(FileNotFoundError):
                descriptor = locks.enter_context(_opened(directory))
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if _is_same(descriptor, directory):
                    break
        yield directory


@contextlib.contextmanager
def share_directory(directory: Path) -> Iterator[bool]:
    """Protects the directory from deletion for the time of the block.

    Yields False when the directory is missing, or locked by its owner or by a sweep."""
    with contextlib.ExitStack() as stack:
        try:
            descriptor = stack.enter_context(_opened(directory))
            is_shared = try_lock(descriptor, shared=True) and _is_same(descriptor, directory)
        except FileNotFoundError:
            is_shared = False
        yield is_shared


def abandoned_directories(parent: Path, pattern: str = "*") -> Iterator[Path]:
    """Yields the directories in `parent` that are not in use. Each stays locked until the next one is requested."""
    for directory in sorted(parent.glob(pattern)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), _opened(directory) as descriptor:
            if try_lock(descriptor):
                yield directory


def _is_same(descriptor: int, directory: Path) -> bool:
    """False when the path leads to another directory than the open one: it was deleted and created again."""
    return os.fstat(descriptor).st_ino == directory.stat().st_ino


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
