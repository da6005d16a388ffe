"""Whose turn it is: shares of a whole that many want, and the one who has least of it.

In come names whose share changes with every slot they get or give back; out goes the next in turn, without looking at
all of them. Knows nothing of jobs.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

N = TypeVar("N")


class Standing(NamedTuple):
    """Less goes first: slots held now, then slot-seconds used lately; both by weight."""

    held: float
    used: float


class Share:
    """What one source, or one requester of it, has had. `used` is in slot-seconds and fades (`Order` halves it)."""

    __slots__ = ("held", "standing", "used", "weight")

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.held = 0
        self.used = 0.0
        self.standing = Standing(0.0, 0.0)

    def take(self) -> None:
        self.held += 1
        self._stand()

    def give_back(self, seconds: float) -> None:
        self.held -= 1
        self.used += seconds
        self._stand()

    def fade(self, factor: float) -> None:
        self.used = self.used * factor if self.used * factor > 1.0 else 0.0
        self._stand()

    def _stand(self) -> None:
        self.standing = Standing(self.held / self.weight, self.used / self.weight)


class Turns(Generic[N]):
    """Names by standing. `standing(name)` None: not now; such a name comes back by `enter`.

    A heap with outdated entries, which are put right when they come to the top: a standing that got better must be told
    (`enter`), one that got worse need not."""

    __slots__ = ("_entered", "_heap", "_standing")

    def __init__(self, standing: Callable[[N], Standing | None]) -> None:
        self._heap: list[tuple[Standing, N]] = []
        self._entered: dict[N, Standing] = {}
        """The one entry of each name that counts."""
        self._standing = standing

    def enter(self, name: N) -> None:
        """It may have a turn, or an earlier one than before."""
        standing = self._standing(name)
        known = self._entered.get(name)
        if standing is not None and (known is None or standing < known):
            self._entered[name] = standing
            heapq.heappush(self._heap, (standing, name))
            if len(self._heap) > 4 * len(self._entered) + 64:
                self._heap = [(entered, name) for name, entered in self._entered.items()]
                heapq.heapify(self._heap)

    def first(self) -> N | None:
        heap = self._heap
        while heap:
            told, name = heap[0]
            if self._entered.get(name) != told:
                heapq.heappop(heap)
                continue
            standing = self._standing(name)
            if standing == told:
                return name
            self.leave()
            self.enter(name)
            heap = self._heap
        return None

    def leave(self) -> None:
        """The first one cannot take its turn now; `enter` brings it back."""
        _, name = heapq.heappop(self._heap)
        del self._entered[name]
