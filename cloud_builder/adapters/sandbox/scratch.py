"""Directories that belong to one run and go away with it, even when the runner was killed: the next one sweeps.

A directory in use is locked by its run (flock), and the kernel drops the lock of a dead process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cloud_builder.errors import Retryable

_PARTS = ("root", "upper", "work", "tmp")


def default_place() -> Path:
    """On disk, with room, and ours alone."""
    return Path("/var/tmp") / f"cloud-builder-{os.getuid()}"


def in_memory() -> Path:
    """For runs that write nothing, on a machine whose disk is full."""
    return Path("/dev/shm") / f"cloud-builder-{os.getuid()}"


def prepare(place: Path) -> None:
    """Other users of the machine must not reach what builds leave there: setuid programs may be among it."""
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = place.lstat()
    if about.st_uid != os.getuid() or not place.is_dir() or place.is_symlink():
        hint = "remove it, or name another work directory"
        raise Retryable(f"{place}: belongs to somebody else", code="sandbox", hint=hint)
    place.chmod(0o700)


@contextlib.contextmanager
def side_directory(place: Path, prefix: str = "run-") -> Iterator[Path]:
    """A fresh locked directory in `place` with the parts of a run. Whoever uses it deletes it."""
    side = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    lock = os.open(side, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for part in _PARTS:
            (side / part).mkdir()
            (side / part).chmod(0o755)
        (side / "tmp").chmod(0o1777)
        yield side
    finally:
        os.close(lock)


def abandoned(place: Path, prefix: str = "run-") -> Iterator[Path]:
    """Directories whose run is over without having deleted them."""
    for side in place.glob(f"{prefix}*"):
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(side, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield side
            except BlockingIOError:
                continue
            finally:
                os.close(lock)
