"""Side directories: scratch space of one run, deleted with it, or by the next sweep when the runner was killed.

A run locks its side directory (`files.directories`), so that a sweep recognizes those of killed runners.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from cloud_builder.errors import Retryable
from cloud_builder.files.directories import own_directory

SIDE_PREFIX = "run-"
_PARTS = ("root", "upper", "work", "tmp")


def default_work_directory() -> Path:
    """Returns this user's work directory on disk, where there is room."""
    return Path("/var/tmp") / f"cloud-builder-{os.getuid()}"


def memory_work_directory() -> Path:
    """Returns this user's work directory in memory: for runs that write nothing on a machine whose disk is full."""
    return Path("/dev/shm") / f"cloud-builder-{os.getuid()}"


def prepare(work: Path) -> None:
    """Creates the work directory and closes it to other users: what builds leave there may be setuid programs."""
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = work.lstat()
    if status.st_uid != os.getuid() or not work.is_dir() or work.is_symlink():
        hint = "Remove it, or name another work directory in the runner's setting `work`."
        raise Retryable(f"work directory {work} belongs to another user, or is no directory", code="sandbox", hint=hint)
    work.chmod(0o700)


@contextlib.contextmanager
def side_directory(parent: Path, prefix: str = SIDE_PREFIX) -> Iterator[Path]:
    """Creates and locks a directory in `parent` with the parts that a run needs. The run deletes it."""
    with own_directory(parent / f"{prefix}{secrets.token_hex(8)}") as side:
        for part in _PARTS:
            (side / part).mkdir()
            (side / part).chmod(0o755)
        (side / "tmp").chmod(0o1777)
        yield side
