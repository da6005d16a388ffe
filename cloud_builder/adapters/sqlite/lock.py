"""A lock file beside a state file: one process opens the state. The kernel frees the lock when the process ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from cloud_builder.errors import Rejected


def is_held(state: Path) -> bool:
    """Returns True if a process has the state open now; False also if this process may not check."""
    try:
        file = os.open(_beside(state), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


class Lock:
    """A lock, held from construction until `release`. Raises Rejected with the holder's pid if it is taken."""

    def __init__(self, state: Path) -> None:
        self._file = os.open(_beside(state), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._file, 20, 0).decode().strip() or "unknown"
            os.close(self._file)
            raise Rejected(
                f"{state}: in use by process {holder}",
                code="state-in-use",
                hint="The same daemon runs already; stop it first, or use another home (CB_HOME).",
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        os.close(self._file)


def _beside(state: Path) -> Path:
    return state.with_name(state.name + ".lock")
