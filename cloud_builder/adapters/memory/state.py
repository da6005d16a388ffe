"""The port `StateStore` in memory: SQLite without a file, so that both adapters behave alike."""

from __future__ import annotations

import json

from cloud_builder.adapters.sqlite.state import MEMORY, SqliteState
from cloud_builder.ports.state import Put


class MemoryState(SqliteState):
    """A state that is deleted when it is closed."""

    def __init__(self) -> None:
        super().__init__(MEMORY)

    def copy(self) -> MemoryState:
        """Returns a copy of this state, as `adapters.sqlite.backup` makes one of a file."""
        copy = MemoryState()
        self._db.backup(copy._db)
        return copy

    def documents(self) -> list[Put]:
        """Returns all documents with an index, by collection and key, to compare two states."""
        rows = self._db.execute("SELECT collection, key, body, parent, rank FROM document ORDER BY collection, key")
        return [Put(collection, key, json.loads(body), parent, rank) for collection, key, body, parent, rank in rows]
