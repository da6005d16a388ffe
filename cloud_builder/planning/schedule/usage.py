"""What sources and requesters used lately, as plain data: written down by the scheduler, so that after a restart the
turns go round as before.

Slot-seconds by class, as they were at one time; who reads it later lets it fade by what has passed since. Beside them
the jobs that had risen into another class when they got their slot, because that is what they count as.
"""

from __future__ import annotations

from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import JobId, SourceName

MOST_BYTES = 400_000
"""Of the names in it: a document has to fit into a message. Who used least is left out."""


class SourceUsage(LenientModel):
    source: SourceName
    used: tuple[float, ...]


class RequesterUsage(LenientModel):
    """A requester of a source, in one of its classes (`rank`)."""

    source: SourceName
    rank: int
    requester: str
    used: tuple[float, ...]


class UsageSnapshot(LenientModel):
    """`at`: when all of it was as it stands here, seconds since the epoch."""

    at: float = 0.0
    sources: tuple[SourceUsage, ...] = ()
    askers: tuple[RequesterUsage, ...] = ()
    risen: dict[JobId, int] = {}
    """Jobs that hold a slot and count as another class than their own."""


def largest_that_fit(askers: list[RequesterUsage]) -> tuple[RequesterUsage, ...]:
    """Those that used most, as far as there is room, in their order."""
    room, kept = MOST_BYTES, set()
    for asker in sorted(askers, key=lambda one: (-one.used[-1], one.source, one.rank, one.requester)):
        room -= len(asker.source) + len(asker.requester.encode()) + 100
        if room < 0:
            break
        kept.add((asker.source, asker.rank, asker.requester))
    return tuple(asker for asker in askers if (asker.source, asker.rank, asker.requester) in kept)
