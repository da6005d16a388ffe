"""Errors of a disk as `Retryable`: the daemon tries again until the disk has room or is mounted again."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloud_builder.errors import Retryable

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def retryable_disk_errors(
    action: str, directory: Path, *, code: str, full_code: str = "", delay: float = 5.0
) -> Iterator[None]:
    """Raises Retryable instead of an OSError of the block.

    action     what failed, the first part of the message: "object store /srv/store: cannot store a.deb"
    directory  whose file system the user has to check
    code       of an error; full_code: of a full disk or an exceeded quota, if it has a code of its own
    delay      seconds before the next try"""
    try:
        yield
    except OSError as error:
        is_full = error.errno in _FULL
        raise Retryable(
            f"{action}: {error.strerror or error}",
            code=full_code if is_full and full_code else code,
            hint=_free_space(directory) if is_full else _check_rights(directory),
            delay=delay,
        ) from error


def _free_space(directory: Path) -> str:
    return f"Free space on the file system of {directory}; the daemon then continues by itself."


def _check_rights(directory: Path) -> str:
    return f"Check that {directory} is mounted, and readable and writable for uid {os.getuid()}."
