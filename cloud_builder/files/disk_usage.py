"""Measures the disk space of a tree."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_BLOCK_BYTES = 512
"""The unit of `st_blocks` on every file system (stat(2))."""


def disk_usage(path: Path) -> int:
    """Returns the bytes on disk of a file or tree; a file with several links counts once.

    What cannot be read, or is deleted meanwhile, counts as nothing."""
    seen: set[tuple[int, int]] = set()
    total, todo = 0, [os.fspath(path)]
    while todo:
        current = todo.pop()
        try:
            status = os.lstat(current)
            if (status.st_dev, status.st_ino) in seen:
                continue
            if status.st_nlink > 1:
                seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * _BLOCK_BYTES
            if stat.S_ISDIR(status.st_mode):
                todo += [entry.path for entry in os.scandir(current)]
        except OSError:
            continue
    return total
