"""A daemon's state in memory: the same SQLite code without a file, so that both behave alike."""

from __future__ import annotations

from cloud_builder.adapters.sqlite.state import MEMORY, SqliteState


class MemoryState(SqliteState):
    """Gone when closed."""

    def __init__(self) -> None:
        super().__init__(MEMORY)
