"""Buffers the documents that a flow writes in one transaction, until the commit.

A job that is queued, assigned and reported on in one batch is written once, with its last value. Reads return buffered
writes, so that a flow sees no difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from cloud_builder.model.frozen import CachedJson
from cloud_builder.ports.state import Document, Documents, Put, StateStore


class BufferedDocuments(Documents):
    """Documents with buffered writes. Only `flush` writes to the state; `find` and `count` flush their collection.

    `written`: the new value of each changed document, by collection and key, as of the last flush (None: deleted)."""

    def __init__(self, state: StateStore) -> None:
        self.written: dict[tuple[str, str], Put | None] = {}
        self._state = state
        self._changes: dict[tuple[str, str], Put | None] = {}

    def get(self, collection: str, key: str) -> Document | None:
        try:
            change = self._changes[collection, key]
        except KeyError:
            return self._state.get(collection, key)
        return None if change is None else _copy(change.body)

    def put(
        self, collection: str, key: str, body: Document | CachedJson[Any], *, parent: str = "", rank: float = 0.0
    ) -> None:
        self._changes[collection, key] = Put(collection, key, body, parent, rank)

    def delete(self, collection: str, key: str) -> None:
        self._changes[collection, key] = None

    def find(
        self,
        collection: str,
        *,
        parent: str | None = None,
        newest: bool = False,
        most: int | None = None,
        after: float | None = None,
        before: float | None = None,
    ) -> Iterator[tuple[str, Document]]:
        self._flush_for(collection)
        return self._state.find(collection, parent=parent, newest=newest, most=most, after=after, before=before)

    def count(self, collection: str, *, parent: str | None = None) -> int:
        self._flush_for(collection)
        return self._state.count(collection, parent=parent)

    def flush(self) -> None:
        """Writes the buffered changes to the state. Called inside the transaction."""
        changes, self._changes = self._changes, {}
        self.written.update(changes)
        for (collection, key), change in changes.items():
            if change is None:
                self._state.delete(collection, key)
        self._state.put_all([change for change in changes.values() if change is not None])

    def _flush_for(self, collection: str) -> None:
        if any(changed == collection for changed, _ in self._changes):
            self.flush()


def _copy(body: Document | CachedJson[Any]) -> Document:
    return json.loads(body.json) if isinstance(body, CachedJson) else dict(body)
