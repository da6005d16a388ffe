"""Directories that one piece of work owns: locked while it lasts, so that a killed owner's leftovers are known.

The kernel drops the lock of a dead process. Several processes may share a place: the runner and `cb-ctl build`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Event

from .build_log import Canceled

_LOOK = 0.05
"""Seconds between two looks at a lock that somebody else holds."""


@contextlib.contextmanager
def own_directory(directory: Path) -> Iterator[Path]:
    """Makes the directory and holds it for the time of the block. Whoever owns it deletes it.

    Between the two a sweep may take it for abandoned, and away; then it is made once more."""
    with contextlib.ExitStack() as held:
        while True:
            directory.mkdir(mode=0o700, parents=True)
            with contextlib.suppress(FileNotFoundError):
                lock = held.enter_context(_opened(directory))
                fcntl.flock(lock, fcntl.LOCK_EX)
                if os.fstat(lock).st_ino == directory.stat().st_ino:
                    break
        yield directory


@contextlib.contextmanager
def share_directory(directory: Path) -> Iterator[bool]:
    """Keeps the directory from being deleted by others; False when it is not there (any more)."""
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(_opened(directory))
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            there = os.fstat(lock).st_ino == directory.stat().st_ino
        except (FileNotFoundError, BlockingIOError):
            there = False
        yield there


@contextlib.contextmanager
def exclusive_lock(file: Path, cancel: Event) -> Iterator[None]:
    """Waits until nobody else, in this process or another, is in this block. Raises Canceled."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _taken(lock):
            if cancel.wait(_LOOK):
                raise Canceled
        yield
    finally:
        os.close(lock)


def abandoned_directories(place: Path, pattern: str = "*") -> Iterator[Path]:
    """Directories in `place` that nobody holds; each is ours while the caller has it."""
    for directory in sorted(place.glob(pattern)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError), _opened(directory) as lock:
            if _taken(lock):
                yield directory


def _taken(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator[int]:
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield lock
    finally:
        os.close(lock)
