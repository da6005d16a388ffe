"""The edges between units, over edges that lead through packages.

A package that depends on others at run time is a node of its own behind the nodes of the units. So an edge from a unit
to all that is in its build root need not be stored: it is followed through the packages when it is read. Stored edges
would be millions for Debian's whole index.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

Numbers = tuple[int, ...]
"""Numbers of nodes, ascending."""


@dataclass(frozen=True)
class UnitEdges(Sequence[Numbers]):
    """For each unit, the other units that it has edges to, also through packages.

    `edges`: of units and packages. The numbers of the `unit_count` units come first."""

    edges: Sequence[Numbers]
    unit_count: int

    def __len__(self) -> int:
        return self.unit_count

    @overload
    def __getitem__(self, number: int) -> Numbers: ...

    @overload
    def __getitem__(self, number: slice) -> Sequence[Numbers]: ...

    def __getitem__(self, number: int | slice) -> Numbers | Sequence[Numbers]:
        if isinstance(number, slice):
            return [self[each] for each in range(self.unit_count)[number]]
        found = self.edges[range(self.unit_count)[number]]
        if not found or found[-1] < self.unit_count:
            return found
        units = set(self.walk(found))
        units.discard(number)
        return tuple(sorted(units))

    def walk(self, start: Iterable[int]) -> Iterator[int]:
        """Yields the units among `start`, and those that its packages lead to through packages alone."""
        todo = list(start)
        seen: set[int] = set()
        while todo:
            number = todo.pop()
            if number < self.unit_count:
                yield number
            elif number not in seen:
                seen.add(number)
                todo += self.edges[number]


def reachable(start: Iterable[int], edges: Sequence[Numbers]) -> list[int]:
    """Returns `start` and all nodes that can be reached from it."""
    reached = list(dict.fromkeys(start))
    seen = bytearray(len(edges))
    for number in reached:
        seen[number] = True
    for number in reached:  # grows during the loop
        for neighbour in edges[number]:
            if not seen[neighbour]:
                seen[neighbour] = True
                reached.append(neighbour)
    return reached
