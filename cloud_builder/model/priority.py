"""Priority classes of requests."""

from __future__ import annotations

from enum import StrEnum


class Priority(StrEnum):
    """The classes, the most urgent one first.

    A job that has waited for long counts as one of the next more urgent class (ageing)."""

    INTERACTIVE = "interactive"
    """A person waits for it."""
    NORMAL = "normal"
    """The default of pushes and requests."""
    BULK = "bulk"
    """A whole distribution; may take until tomorrow. The default of requests for all units."""

    @property
    def rank(self) -> int:
        """0 is the most urgent."""
        return _RANKS[self]


_RANKS = {priority: rank for rank, priority in enumerate(Priority)}
