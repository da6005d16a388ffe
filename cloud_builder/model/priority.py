"""How urgent a request is."""

from __future__ import annotations

from enum import StrEnum


class Priority(StrEnum):
    """Classes, most urgent first. A job that has waited for long is treated as one of the class above (ageing)."""

    INTERACTIVE = "interactive"
    """Somebody sits and waits."""
    NORMAL = "normal"
    """A push; what a request is when it says nothing."""
    BULK = "bulk"
    """The whole world; may take until tomorrow."""

    @property
    def rank(self) -> int:
        """0 is the most urgent."""
        return _RANKS[self]


_RANKS = {priority: rank for rank, priority in enumerate(Priority)}
