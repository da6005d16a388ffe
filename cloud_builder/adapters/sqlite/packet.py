"""Records of the outbox as text: all that one transaction says is one row.

Latin-1 maps each byte to the character of the same number, so any bytes survive JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from cloud_builder.ports.broker import Outgoing

_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
Row = tuple[str, str | None, str, list[tuple[str, str]]]


def pack(records: Sequence[Outgoing]) -> str:
    return _dump([_row(record) for record in records])


def unpack(text: str) -> list[Outgoing]:
    rows: list[Row] = json.loads(text)
    return [
        Outgoing(
            topic,
            None if key is None else key.encode("latin-1"),
            value.encode("latin-1"),
            tuple((name, content.encode("latin-1")) for name, content in headers),
        )
        for topic, key, value, headers in rows
    ]


def packet_1(topic: str, key: bytes | None, value: bytes, headers: str) -> str:
    """A packet with the one record of a row of state version 1."""
    return _dump([(topic, _text(key), value.decode("latin-1"), json.loads(headers))])


def _row(record: Outgoing) -> Row:
    headers = [(name, content.decode("latin-1")) for name, content in record.headers]
    return record.topic, _text(record.key), record.value.decode("latin-1"), headers


def _text(key: bytes | None) -> str | None:
    return None if key is None else key.decode("latin-1")
