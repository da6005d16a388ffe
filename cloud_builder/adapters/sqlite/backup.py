"""Copies a daemon's state at one moment while the daemon works."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from cloud_builder.errors import Retryable


def backup(state: Path, to: Path) -> None:
    """Copies the file `state` to `to`, with what was committed before the copy began.

    Writers do not wait for the copy: they append to the log. Raises Retryable if the file
    cannot be read or the disk is full."""
    try:
        with closing(sqlite3.connect(state, timeout=5.0)) as source, closing(sqlite3.connect(to)) as target:
            source.backup(target)
    except sqlite3.Error as error:
        hint = "Run this as the user of the daemons, with room for a copy of their state beside it."
        raise Retryable(f"{state}: cannot be copied: {error}", code="state", hint=hint) from error
