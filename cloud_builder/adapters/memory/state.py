"""A daemon's state in memory: the same SQLite code without a file, so that both behave alike."""

from __future__ import annotations

import json

from cloud_builder.adapters.sqlite.state import MEMORY, SqliteState
from cloud_builder.ports.state import Put


class MemoryState(SqliteState):
    """Gone when closed."""

    def __init__(self) -> None:
        super().__init__(MEMORY)

    def copy(self) -> MemoryState:
        """Returns another state with the same content, as `adapters.sqlite.backup` makes one of a file."""
        copy = MemoryState()
        self._db.backup(copy._db)
        return copy

    def documents(self) -> list[Put]:
        """All documents that have a place, by collection and key: to compare two states."""
        rows = self._db.execute("SELECT collection, key, body, parent, rank FROM document ORDER BY collection, key")
        return [Put(collection, key, json.loads(body), parent, rank) for collection, key, body, parent, rank in rows]
