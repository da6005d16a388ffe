"""The port `StateStore` in SQLite: documents, seen events, positions and outbox in one file and one transaction.

Durability: WAL with synchronous=NORMAL. A killed process loses nothing. A machine that loses power may lose the last
transactions, each as a whole; their events are then read again from the older positions.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cloud_builder.errors import Rejected, Retryable
from cloud_builder.model.frozen import CachedJson
from cloud_builder.ports.broker import OutgoingRecord, Partition
from cloud_builder.ports.state import UNINDEXED, Document, Put

from .lock import Lock
from .packet import pack, unpack
from .schema import prepare

MEMORY = ":memory:"
_CHECKPOINT = 8000
"""Pages of 4 KiB in the log, after which they are moved into the file. Each move waits for the disk twice."""
LARGE_CACHE, SMALL_CACHE = 16_000, 2_000
"""KiB of the file in memory. Keys that are digests are spread over the file; a runner only appends to it."""
_GET = (
    "SELECT body, parent, rank FROM document WHERE collection = ? AND key = ?",
    "SELECT body, '', 0.0 FROM unindexed_document WHERE collection = ? AND key = ?",
)
"""For a document with an index, and for one of an UNINDEXED collection."""
_PUT = (
    "INSERT INTO document (collection, key, parent, rank, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
    " SET parent = excluded.parent, rank = excluded.rank, body = excluded.body"
)
_PUT_UNINDEXED = "INSERT OR REPLACE INTO unindexed_document (collection, key, body) VALUES (?, ?, ?)"
_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


class SqliteState:
    """A state in an SQLite file. Used by one thread at a time.

    `path`: the file, whose directory is created, or ":memory:".
    `cache`: KiB of the file that may be in memory."""

    def __init__(self, path: Path | str, *, cache: int = LARGE_CACHE) -> None:
        self._name = str(path)
        self._cache = cache
        self._lock: Lock | None = None
        if self._name != MEMORY:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(Path(path))
        try:
            self._db = self._open()
        except BaseException:
            self._unlock()
            raise

    def _open(self) -> sqlite3.Connection:
        try:
            database = sqlite3.connect(
                self._name, isolation_level=None, check_same_thread=False, cached_statements=256, timeout=5.0
            )
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
            database.execute(f"PRAGMA cache_size = -{self._cache}")
            prepare(database, self._name)
        except sqlite3.OperationalError as error:
            raise Retryable(f"{self._name}: {error}", code="state", hint="Is the disk full or read-only?") from error
        except sqlite3.DatabaseError as error:
            hint = "Move the file away: the daemon starts anew and reads the topics again."
            raise Rejected(f"{self._name}: {error}", code="state-broken", hint=hint) from error
        return database

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def close(self) -> None:
        self._db.close()
        self._unlock()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commits what happens inside, or rolls it back. Raises Retryable if the disk is full, after a rollback."""
        self._db.execute("BEGIN")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                hint = "Is the disk full or read-only?"
                raise Retryable(f"{self._name}: {error}", code="state", hint=hint) from error
            raise

    # --- documents --------------------------------------------------------------------------------------------

    def get(self, collection: str, key: str) -> Document | None:
        found = self._db.execute(_GET[collection.startswith(UNINDEXED)], (collection, key)).fetchone()
        return None if found is None else json.loads(found[0])

    def put(
        self, collection: str, key: str, body: Document | CachedJson[Any], *, parent: str = "", rank: float = 0.0
    ) -> None:
        self.put_all([Put(collection, key, body, parent, rank)])

    def put_all(self, documents: Iterable[Put]) -> None:
        indexed: list[tuple[str, str, str, float, str]] = []
        unindexed: list[tuple[str, str, str]] = []
        for collection, key, body, parent, rank in documents:
            if collection.startswith(UNINDEXED):
                unindexed.append((collection, key, _json(body)))
            else:
                indexed.append((collection, key, parent, rank, _json(body)))
        self._db.executemany(_PUT, indexed)
        self._db.executemany(_PUT_UNINDEXED, unindexed)

    def get_with_index(self, collection: str, key: str) -> Put | None:
        found = self._db.execute(_GET[collection.startswith(UNINDEXED)], (collection, key)).fetchone()
        return None if found is None else Put(collection, key, json.loads(found[0]), found[1], found[2])

    def delete(self, collection: str, key: str) -> None:
        table = "unindexed_document" if collection.startswith(UNINDEXED) else "document"
        self._db.execute(f"DELETE FROM {table} WHERE collection = ? AND key = ?", (collection, key))

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
        """Reads all rows at once, so that the collection may be changed while the caller iterates."""
        where, values = _where(collection, parent)
        if after is not None:
            where, values = f"{where} AND rank > ?", [*values, after]
        if before is not None:
            where, values = f"{where} AND rank < ?", [*values, before]
        order = "rank DESC, key DESC" if newest else "rank, key"
        rows = self._db.execute(
            f"SELECT key, body FROM document WHERE {where} ORDER BY {order} LIMIT ?",
            [*values, -1 if most is None else most],
        ).fetchall()
        return ((key, json.loads(body)) for key, body in rows)

    def count(self, collection: str, *, parent: str | None = None) -> int:
        where, values = _where(collection, parent)
        number: int = self._db.execute(f"SELECT count(*) FROM document WHERE {where}", values).fetchone()[0]
        return number

    # --- seen events ------------------------------------------------------------------------------------------

    def seen_of(self, event_ids: Collection[str]) -> set[str]:
        statement = "SELECT seen.id FROM json_each(?) AS queried CROSS JOIN seen ON seen.id = queried.value"
        return {event_id for (event_id,) in self._db.execute(statement, (_dump(list(event_ids)),))}

    def seen_with_prefix(self, prefix: str) -> set[str]:
        statement = "SELECT id FROM seen WHERE id BETWEEN ? AND ?"
        return {event_id for (event_id,) in self._db.execute(statement, (prefix, f"{prefix}\U0010ffff"))}

    def mark_seen(self, event_ids: Iterable[str], at: float) -> None:
        rows = [(event_id, at) for event_id in event_ids]
        self._db.executemany("INSERT OR REPLACE INTO seen (id, at) VALUES (?, ?)", rows)

    def prune_seen(self, before: float) -> int:
        return self._db.execute("DELETE FROM seen WHERE at < ?", (before,)).rowcount

    # --- positions --------------------------------------------------------------------------------------------

    def positions(self, incarnation: str) -> Mapping[Partition, int]:
        rows = self._db.execute("SELECT topic, number, next FROM position WHERE incarnation = ?", (incarnation,))
        return {Partition(topic, number): offset for topic, number, offset in rows}

    def save_positions(self, incarnation: str, positions: Mapping[Partition, int]) -> None:
        self._db.execute("INSERT OR REPLACE INTO broker_incarnation (only, incarnation) VALUES (1, ?)", (incarnation,))
        self._db.executemany(
            "INSERT OR REPLACE INTO position (incarnation, topic, number, next) VALUES (?, ?, ?, ?)",
            [(incarnation, partition.topic, partition.number, offset) for partition, offset in positions.items()],
        )

    def incarnation(self) -> str | None:
        row = self._db.execute("SELECT incarnation FROM broker_incarnation").fetchone()
        return None if row is None else str(row[0])

    # --- outbox -----------------------------------------------------------------------------------------------

    def outbox_add(self, records: Sequence[OutgoingRecord]) -> int:
        added = self._db.execute("INSERT INTO outbox (packet) VALUES (?)", (pack(records),))
        return int(added.lastrowid or 0)

    def outbox(self, most: int, *, after: int = 0) -> Sequence[tuple[int, Sequence[OutgoingRecord]]]:
        rows = self._db.execute(
            "SELECT number, packet FROM outbox WHERE number > ? ORDER BY number LIMIT ?", (after, most)
        ).fetchall()
        return [(number, unpack(packet)) for number, packet in rows]

    def outbox_confirm(self, up_to: int) -> None:
        self._db.execute("DELETE FROM outbox WHERE number <= ?", (up_to,))


def _where(collection: str, parent: str | None) -> tuple[str, list[Any]]:
    if parent is None:
        return "collection = ?", [collection]
    return "collection = ? AND parent = ?", [collection, parent]


def _json(body: Document | CachedJson[Any]) -> str:
    return body.json if isinstance(body, CachedJson) else _dump(body)
