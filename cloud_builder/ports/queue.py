"""The port to a queue that a pool of runners shares: each offer goes to one of them, and comes back when that one dies.

Offers come in the background; nothing here waits. Used from one thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from cloud_builder.model.events import JobOffered


@dataclass(frozen=True)
class TakenOffer:
    """An offer that is ours for as long as the queue's lock lasts (half a minute), or until it is acknowledged.

    `place` names it to the queue, and means nothing to others."""

    offer: JobOffered
    handle: object


class OfferQueue(Protocol):
    """One runner's share of the offers to its pools."""

    @property
    def names(self) -> tuple[str, ...]:
        """The queues that it takes from, by the names in the offers; empty while it can take none."""

    @property
    def has_offers(self) -> bool:
        """`take` would return something."""

    def take(self, most: int) -> list[TakenOffer]:
        """The offers that have come. From now on so many more, less those that are returned, are waited for; an offer
        that was waited for when less was asked comes all the same. More comes only when what came is acknowledged."""

    def acknowledge(self, taken: Iterable[TakenOffer]) -> None:
        """They will not come again, to anyone. When the broker cannot be told (it is away), they do."""

    def close(self) -> None:
        """What was not acknowledged goes to others at once. Returns within a second."""
