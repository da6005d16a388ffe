"""Records of the outbox as bytes: the records of one transaction are one packet, in one row.

A packet is a pickle of plain tuples. It has values that many records share (topic, names and contents of headers) once,
and it is written and read in C. Only tuples, text, bytes and None are accepted when a packet is read.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from io import BytesIO

from cloud_builder.ports.broker import OutgoingRecord

_PROTOCOL = 5


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
