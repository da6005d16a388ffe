"""A lock file: one owner at a time among all threads and processes of a machine (flock(2)).

The kernel releases the lock of a process that dies. The lock file stays: deleting it would let two owners in.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Event

from cloud_builder.errors import Retryable

_POLL_INTERVAL = 0.05
"""Seconds between two attempts to take a lock that has an owner."""


@contextlib.contextmanager
def exclusive_lock(file: Path, cancel: Event | None = None) -> Iterator[None]:
    """Waits until the lock is free and holds it for the time of the block. Creates the file and its directory.

    Raises Retryable(code="canceled") when `cancel` is set while it waits. Without `cancel` it waits without end."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if cancel is None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        else:
            _poll(descriptor, file, cancel)
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Locks an open file or directory without waiting; False when a conflicting lock is held.

    Closing the descriptor releases the lock."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _poll(descriptor: int, file: Path, cancel: Event) -> None:
    while not try_lock(descriptor):
        if cancel.wait(_POLL_INTERVAL):
            hint = "Another thread or process holds the lock. Start the operation again."
            raise Retryable(f"{file}: waiting for the lock was canceled", code="canceled", hint=hint)
