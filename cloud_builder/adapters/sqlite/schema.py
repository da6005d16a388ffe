"""The tables of a daemon's state, and the steps from older versions. Only this module changes tables."""

from __future__ import annotations

import sqlite3

from cloud_builder.errors import Rejected

from .packet import packet_1, packet_2

VERSION = 3

LOOSE = """
CREATE TABLE IF NOT EXISTS loose (
    collection TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (collection, key)
) WITHOUT ROWID;
"""
"""Documents of UNINDEXED collections (ports.state). Before version 3 all documents had an index."""

MOVE_LOOSE = """
INSERT OR REPLACE INTO loose SELECT collection, key, body FROM document WHERE collection LIKE 'loose-%';
DELETE FROM document WHERE collection LIKE 'loose-%';
"""
"""Moves the documents that a standby of version 2 copied from a leader of version 3."""

TABLES = """
CREATE TABLE document (
    collection TEXT NOT NULL, key TEXT NOT NULL, parent TEXT NOT NULL, rank REAL NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (collection, key)
);
CREATE INDEX document_by_parent ON document (collection, parent, rank, key);
CREATE INDEX document_by_rank ON document (collection, rank, key);
CREATE TABLE seen (id TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX seen_by_age ON seen (at);
CREATE TABLE position (
    incarnation TEXT NOT NULL, topic TEXT NOT NULL, number INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (incarnation, topic, number)
) WITHOUT ROWID;
CREATE TABLE life (only INTEGER PRIMARY KEY CHECK (only = 1), incarnation TEXT NOT NULL);
CREATE TABLE outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, packet BLOB NOT NULL);
"""

FROM_1 = """
ALTER TABLE outbox RENAME TO outbox_1;
CREATE TABLE outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, packet BLOB NOT NULL);
INSERT INTO outbox SELECT number, packet_1(topic, key, value, headers) FROM outbox_1 ORDER BY number;
DROP TABLE outbox_1;
"""
"""The outbox had a row for each record; since version 2 it has a row for each transaction."""

FROM_2 = "UPDATE outbox SET packet = packet_2(packet);"
"""Packets of version 2 had a format of their own; since version 3 they are pickles."""


def prepare(database: sqlite3.Connection, name: str) -> None:
    """Creates the tables in an empty database, and converts those of older versions.

    Raises Rejected if a newer Cloud Builder wrote the file."""
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise Rejected(
            f"{name}: written by a newer Cloud Builder (state version {version}, this one knows {VERSION})",
            code="state-too-new",
            hint="Start the newer version, or give this one a home of its own (CB_HOME).",
        )
    database.create_function("packet_1", 4, packet_1)
    database.create_function("packet_2", 1, packet_2)
    steps = {0: LOOSE + TABLES, 1: FROM_1 + LOOSE + MOVE_LOOSE, 2: FROM_2 + LOOSE + MOVE_LOOSE}
    if version in steps:
        database.executescript(f"BEGIN; {steps[version]} PRAGMA user_version = {VERSION}; COMMIT;")
