"""The tables of a daemon's state, and the one place that changes them."""

from __future__ import annotations

import sqlite3

from cloud_builder.errors import Rejected

VERSION = 4
"""Stored in the file (`user_version`). States of versions 1 to 3 were written before 0.1.0 and are not read."""

TABLES = """
CREATE TABLE document (
    collection TEXT NOT NULL, key TEXT NOT NULL, parent TEXT NOT NULL, rank REAL NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (collection, key)
);
CREATE INDEX document_by_parent ON document (collection, parent, rank, key);
CREATE INDEX document_by_rank ON document (collection, rank, key);
CREATE TABLE unindexed_document (
    collection TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (collection, key)
) WITHOUT ROWID;
CREATE TABLE seen (id TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX seen_by_age ON seen (at);
CREATE TABLE position (
    incarnation TEXT NOT NULL, topic TEXT NOT NULL, number INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (incarnation, topic, number)
) WITHOUT ROWID;
CREATE TABLE broker_incarnation (only INTEGER PRIMARY KEY CHECK (only = 1), incarnation TEXT NOT NULL);
CREATE TABLE outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, packet BLOB NOT NULL);
"""
"""`unindexed_document` has the collections whose name begins with UNINDEXED (ports.state). `broker_incarnation` has one
row: the incarnation of the broker that the positions belong to."""


def prepare(database: sqlite3.Connection, name: str) -> None:
    """Creates the tables in an empty database. Raises Rejected when another version of Cloud Builder wrote the file."""
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise Rejected(
            f"{name}: written by a newer Cloud Builder (state version {version}, this one knows {VERSION})",
            code="state-too-new",
            hint="Start the newer version, or give this one a home of its own (CB_HOME).",
        )
    if 0 < version < VERSION:
        raise Rejected(
            f"{name}: written by a Cloud Builder before 0.1.0 (state version {version}, this one knows {VERSION})",
            code="state-too-old",
            hint="Start with an empty home (CB_HOME), and with empty topics on a Kafka of your own.",
        )
    if version == 0:
        database.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
