"""Splits what is too large for one message into parts.

Brokers accept messages of 1 MB by default. A part is well below, so that headers and the other fields fit, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from .frozen import LenientModel

MAX_PART_BYTES = 400_000
"""JSON of the entries in one message. A part with more than one entry is not larger."""

T = TypeVar("T", bound=LenientModel)


def split(entries: Sequence[T], max_entries: int | None = None) -> Iterator[Sequence[T]]:
    """Yields consecutive slices of at most `MAX_PART_BYTES` and `max_entries`, or of one entry that is larger."""
    start = size = 0
    for end, entry in enumerate(entries):
        entry_size = len(entry.model_dump_json().encode()) + 1
        if end > start and (end - start == max_entries or size + entry_size > MAX_PART_BYTES):
            yield entries[start:end]
            start, size = end, 0
        size += entry_size
    if entries[start:]:
        yield entries[start:]
