"""Whose turn it is: shares of a whole that many want, and the one who has least of it.

In come names whose share changes with every slot they get or give back; out goes the next in turn, without looking at
all of them. Knows nothing of jobs.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

N = TypeVar("N")


class ShareKey(NamedTuple):
    """Less goes first: slots held now, then slot-seconds used lately; both by weight."""

    held: float
    used: float


class ShareUsage:
    """What one source, or one requester of it, has had. `used` is in slot-seconds and fades (`Order` halves it).

    Counted by class: what somebody does that can wait does not count against what is urgent. A class counts what was
    given to it and to the more urgent ones."""

    __slots__ = ("_held", "_used", "_weight", "standing")

    def __init__(self, weight: float, classes: int) -> None:
        self._weight = weight
        self._held = [0] * classes
        self._used = [0.0] * classes
        self.standing = [ShareKey(0.0, 0.0)] * classes

    def add_slot(self, rank: int) -> None:
        for one in range(rank, len(self._held)):
            self._held[one] += 1
            self._stand(one)

    def remove_slot(self, rank: int, seconds: float) -> None:
        for one in range(rank, len(self._held)):
            self._held[one] -= 1
            self._used[one] += seconds
            self._stand(one)

    def decay(self, factor: float) -> None:
        for one, used in enumerate(self._used):
            self._used[one] = used * factor if used * factor > 1.0 else 0.0
            self._stand(one)

    @property
    def used(self) -> tuple[float, ...]:
        return tuple(self._used)

    def restore(self, used: Sequence[float]) -> None:
        """What `used` was before."""
        self._used[: len(used)] = used[: len(self._used)]
        for one in range(len(self._used)):
            self._stand(one)

    @property
    def is_idle(self) -> bool:
        """Nothing is held, and what was used is forgotten."""
        return not self._held[-1] and not self._used[-1]

    def _stand(self, rank: int) -> None:
        self.standing[rank] = ShareKey(self._held[rank] / self._weight, self._used[rank] / self._weight)


class FairShareHeap(Generic[N]):
    """Names by standing. `standing(name)` None: not now; such a name comes back by `enter`.

    A heap with outdated entries, which are put right when they come to the top: a standing that got better must be told
    (`enter`), one that got worse need not."""

    __slots__ = ("_entered", "_heap", "_standing")

    def __init__(self, standing: Callable[[N], ShareKey | None]) -> None:
        self._heap: list[tuple[ShareKey, N]] = []
        self._entered: dict[N, ShareKey] = {}
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
