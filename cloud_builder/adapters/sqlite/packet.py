"""Records of the outbox as bytes: all that one transaction says is one row.

number of records · number of parts of each · size of each part · the parts
parts of a record: topic, key ("" for none, else "=" and the key; "-" and the key of a tombstone, which has no value),
value, then name and content of each header
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence

from cloud_builder.ports.broker import Outgoing

_FIXED = 3
_TOMBSTONE = b"-"


def pack(records: Sequence[Outgoing]) -> bytes:
    counts, parts = [], []
    for record in records:
        mark = _TOMBSTONE if record.value is None else b"="
        key = b"" if record.key is None else mark + record.key
        own = [record.topic.encode(), key, record.value or b""]
        for name, content in record.headers:
            own += (name.encode(), content)
        counts.append(len(own))
        parts += own
    head = struct.pack(f"<{1 + len(counts) + len(parts)}I", len(counts), *counts, *map(len, parts))
    return head + b"".join(parts)


def unpack(packet: bytes) -> list[Outgoing]:
    (records,) = struct.unpack_from("<I", packet)
    counts = struct.unpack_from(f"<{records}I", packet, 4)
    sizes = struct.unpack_from(f"<{sum(counts)}I", packet, 4 * (1 + records))
    at, parts = 4 * (1 + records + len(sizes)), []
    for size in sizes:
        parts.append(packet[at : at + size])
        at += size
    found, first = [], 0
    for count in counts:
        found.append(_record(parts[first : first + count]))
        first += count
    return found


def packet_1(topic: str, key: bytes | None, value: bytes, headers: str) -> bytes:
    """A packet with the one record of a row of state version 1."""
    pairs = tuple((name, content.encode("latin-1")) for name, content in json.loads(headers))
    return pack([Outgoing(topic, key, value, pairs)])


def _record(parts: Sequence[bytes]) -> Outgoing:
    topic, key, value = parts[:_FIXED]
    headers = zip(parts[_FIXED::2], parts[_FIXED + 1 :: 2], strict=True)
    return Outgoing(
        topic.decode(),
        key[1:] if key else None,
        None if key.startswith(_TOMBSTONE) else value,
        tuple((name.decode(), content) for name, content in headers),
    )
