"""Records of the outbox as bytes: the records of one transaction are one packet, in one row.

A packet is a pickle of plain tuples. It has values that many records share (topic, names and contents of headers) once,
and it is written and read in C. Only tuples, text, bytes and None are accepted when a packet is read.
"""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Sequence
from io import BytesIO

from cloud_builder.ports.broker import OutgoingRecord

_PROTOCOL = 5
_FIXED = 3
_TOMBSTONE = b"-"


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler that refuses classes and functions: a state file is data, and nothing in it may be called."""

    def find_class(self, module: str, name: str) -> object:
        raise pickle.UnpicklingError(f"a packet of the outbox names {module}.{name}")


def pack(records: Sequence[OutgoingRecord]) -> bytes:
    """Returns the packet of these records."""
    return pickle.dumps([tuple(record) for record in records], _PROTOCOL)


def unpack(packet: bytes) -> list[OutgoingRecord]:
    """Returns the records of a packet."""
    return [OutgoingRecord(*record) for record in _PlainUnpickler(BytesIO(packet)).load()]


def packet_1(topic: str, key: bytes | None, value: bytes, headers: str) -> bytes:
    """Returns the packet of a row of state version 1, which had one record."""
    pairs = tuple((name, content.encode("latin-1")) for name, content in json.loads(headers))
    return pack([OutgoingRecord(topic, key, value, pairs)])


def packet_2(packet: bytes) -> bytes:
    """Converts a packet of state version 2, which was:

    number of records · number of parts of each · size of each part · the parts
    parts of a record: topic, key ("" for none, else "=" and the key; "-" and the key of a tombstone, which has no
    value), value, then name and content of each header"""
    (records,) = struct.unpack_from("<I", packet)
    counts = struct.unpack_from(f"<{records}I", packet, 4)
    sizes = struct.unpack_from(f"<{sum(counts)}I", packet, 4 * (1 + records))
    at, parts = 4 * (1 + records + len(sizes)), []
    for size in sizes:
        parts.append(packet[at : at + size])
        at += size
    found, first = [], 0
    for count in counts:
        found.append(_record_2(parts[first : first + count]))
        first += count
    return pack(found)


def _record_2(parts: Sequence[bytes]) -> OutgoingRecord:
    topic, key, value = parts[:_FIXED]
    headers = zip(parts[_FIXED::2], parts[_FIXED + 1 :: 2], strict=True)
    return OutgoingRecord(
        topic.decode(),
        key[1:] if key else None,
        None if key.startswith(_TOMBSTONE) else value,
        tuple((name.decode(), content) for name, content in headers),
    )
