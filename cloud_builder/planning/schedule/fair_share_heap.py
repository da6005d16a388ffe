"""Shares of slots by name, and a heap that finds the name with the smallest share.

Input: names whose share changes with every slot that they get or give back. Output: the next name, found without
reading all of them. Must not: know jobs, sources or requesters.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

N = TypeVar("N")


class ShareKey(NamedTuple):
    """A sort key: the smallest goes first. Both numbers are divided by the weight.

    `slots`: slots in use now.
    `used`: slot-seconds that were used recently.
    """

    slots: float
    used: float


class ShareUsage:
    """Slots and slot-seconds of one source, or of one of its requesters. `used` decays (`FairShares` halves it).

    They are counted by priority class, so that work that can wait does not count against urgent work of the same
    name. A class counts its own slots and those of the more urgent classes. `keys` has the share of each class.
    """

    __slots__ = ("_slots", "_used", "_weight", "keys")

    def __init__(self, weight: float, classes: int) -> None:
        self._weight = weight
        self._slots = [0] * classes
        self._used = [0.0] * classes
        self.keys = [ShareKey(0.0, 0.0)] * classes

    def add_slot(self, rank: int) -> None:
        for index in range(rank, len(self._slots)):
            self._slots[index] += 1
            self._update_key(index)

    def remove_slot(self, rank: int, seconds: float) -> None:
        for index in range(rank, len(self._slots)):
            self._slots[index] -= 1
            self._used[index] += seconds
            self._update_key(index)

    def decay(self, factor: float) -> None:
        """Multiplies the slot-seconds by `factor`; one second and less becomes 0, so that the share can become idle."""
        for index, used in enumerate(self._used):
            self._used[index] = used * factor if used * factor > 1.0 else 0.0
            self._update_key(index)

    @property
    def used(self) -> tuple[float, ...]:
        return tuple(self._used)

    def restore(self, used: Sequence[float]) -> None:
        """Sets the slot-seconds to an earlier value of `used`."""
        self._used[: len(used)] = used[: len(self._used)]
        for index in range(len(self._used)):
            self._update_key(index)

    @property
    def is_idle(self) -> bool:
        """True if no slot is in use and all slot-seconds have decayed."""
        return not self._slots[-1] and not self._used[-1]

    def _update_key(self, index: int) -> None:
        self.keys[index] = ShareKey(self._slots[index] / self._weight, self._used[index] / self._weight)


class FairShareHeap(Generic[N]):
    """A heap of names by share. `share(name)` returns None while a name cannot be next; `enter` brings it back.

    Entries may be outdated; they are corrected when they reach the top. Therefore a share that became smaller must be
    reported (`enter`), one that became larger need not.
    """

    __slots__ = ("_entered", "_heap", "_share")

    def __init__(self, share: Callable[[N], ShareKey | None]) -> None:
        self._heap: list[tuple[ShareKey, N]] = []
        self._entered: dict[N, ShareKey] = {}
        """The valid entry of each name; every other entry of the name in the heap is outdated."""
        self._share = share

    def enter(self, name: N) -> None:
        """Adds a name, or moves it forward if its share became smaller."""
        share = self._share(name)
        entered = self._entered.get(name)
        if share is not None and (entered is None or share < entered):
            self._entered[name] = share
            heapq.heappush(self._heap, (share, name))
            if len(self._heap) > 4 * len(self._entered) + 64:  # mostly outdated entries
                self._heap = [(valid, entered_name) for entered_name, valid in self._entered.items()]
                heapq.heapify(self._heap)

    def first(self) -> N | None:
        """Returns the name with the smallest share; None if no name can be next."""
        heap = self._heap
        while heap:
            entered, name = heap[0]
            if self._entered.get(name) != entered:
                heapq.heappop(heap)
                continue
            if self._share(name) == entered:
                return name
            self.leave()
            self.enter(name)
            heap = self._heap
        return None

    def leave(self) -> None:
        """Removes the first name, which cannot be next now; `enter` brings it back."""
        _, name = heapq.heappop(self._heap)
        del self._entered[name]
