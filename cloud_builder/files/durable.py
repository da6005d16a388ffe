"""Files and renames that survive a power failure.

A file system may keep written data and renames in memory for seconds. `fsync` of the file writes its content to disk,
`fsync` of its directory writes its name (fsync(2)).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO


def sync_file(file: BinaryIO) -> None:
    """Writes the content of an open file to disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_directory(directory: Path) -> None:
    """Writes the names in a directory to disk: files that were created, renamed or deleted there."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_durably(source: Path, target: Path) -> None:
    """Renames a synced file in one step, replacing `target`, and writes the new name to disk.

    Readers find the old file or the new one, never a part of it."""
    source.replace(target)
    sync_directory(target.parent)
