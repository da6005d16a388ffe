"""The port to a queue that the runners of a pool share.

Each offer is delivered to one runner. If that runner ends without acknowledging the offer, another runner gets it.
Offers are received in the background; no method waits, except `close`. Used from one thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from cloud_builder.model.events import JobOffered


@dataclass(frozen=True)
class TakenOffer:
    """An offer delivered to this runner, for as long as the queue's lock lasts (half a minute) or until acknowledged.

    `handle` identifies the delivery to the queue; callers do not look into it."""

    offer: JobOffered
    handle: object


class OfferQueue(Protocol):
    """The offers that one runner receives from the queues of its pools."""

    @property
    def names(self) -> tuple[str, ...]:
        """The queues to take offers from, as the offers name them; empty while none can be used."""

    @property
    def has_offers(self) -> bool:
        """True if `take` would return an offer."""

    def take(self, most: int) -> list[TakenOffer]:
        """Returns the offers received so far and requests up to `most` offers in all, including the returned ones.

        An offer that an earlier call requested still arrives when a later call requests fewer. Further offers
        arrive only after the received ones were acknowledged."""

    def acknowledge(self, taken: Iterable[TakenOffer]) -> None:
        """Confirms offers: no runner gets them again. While the broker is unreachable this has no effect."""

    def close(self) -> None:
        """Returns offers that were not acknowledged to the other runners at once. Returns within a second."""
