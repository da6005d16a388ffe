"""One process a state file: a lock beside it that the kernel frees when the process dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from cloud_builder.errors import Rejected


def is_held(state: Path) -> bool:
    """Whether a process has it right now. False when we may not look."""
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
    """Held from construction until `release`. Rejected with the holder's pid when another process has it."""

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
