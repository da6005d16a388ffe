"""Slot-seconds that sources and requesters used recently, as plain data.

The scheduler saves them, so that a restart does not change who gets the next slot. They are counted by priority class
and belong to one moment; a reader lets them decay by the time that has passed since.
"""

from __future__ import annotations

from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import JobId, SourceName
from cloud_builder.model.parts import MAX_PART_BYTES


class SourceUsage(LenientModel):
    """Slot-seconds of a source, by class: `used[rank]` counts the jobs of that class and of the more urgent ones."""

    source: SourceName
    used: tuple[float, ...]


class RequesterUsage(LenientModel):
    """Slot-seconds of a requester of a source, for its jobs of the priority class `rank`; `used` as in SourceUsage."""

    source: SourceName
    rank: int
    requester: str
    used: tuple[float, ...]


class UsageSnapshot(LenientModel):
    """The usage at the time `at` (seconds since the epoch)."""

    at: float = 0.0
    sources: tuple[SourceUsage, ...] = ()
    requesters: tuple[RequesterUsage, ...] = ()
    aged: dict[JobId, int] = {}
    """Active jobs that count as another class than their own, because they had aged when they got their slot."""


def largest_that_fit(requesters: list[RequesterUsage]) -> tuple[RequesterUsage, ...]:
    """Returns the requesters that used most, as many as fit into one message, in the given order."""
    left, kept = MAX_PART_BYTES, set()
    for usage in sorted(requesters, key=lambda usage: (-usage.used[-1], usage.source, usage.rank, usage.requester)):
        left -= len(usage.source) + len(usage.requester.encode()) + 100
        if left < 0:
            break
        kept.add((usage.source, usage.rank, usage.requester))
    return tuple(usage for usage in requesters if (usage.source, usage.rank, usage.requester) in kept)
