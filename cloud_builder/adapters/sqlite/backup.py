"""A copy of a daemon's state as it is at one moment, while the daemon works on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from cloud_builder.errors import Retryable


def backup(state: Path, to: Path) -> None:
    """Writers are not held up: they append to the log while the copy reads what was committed before it began.

    Retryable when the file cannot be read or there is no room."""
    try:
        with closing(sqlite3.connect(state, timeout=5.0)) as source, closing(sqlite3.connect(to)) as target:
            source.backup(target)
    except sqlite3.Error as error:
        hint = "Run this as the user of the daemons, with room for a copy of their state beside it."
        raise Retryable(f"{state}: cannot be copied: {error}", code="state", hint=hint) from error
