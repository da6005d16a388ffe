"""Which units of ours a relation of a package means.

Of its alternatives the first that a unit provides, as sbuild would take it: builds must not differ by what else happens
to be there. The others count only when nobody provides the first ones, and among several that units provide, one with a
version that would do is preferred. A unit of the same source is meant before one of another; of several that provide a
(virtual) name, all are: one too many costs an order, one too few a wrong build. A unit that needs itself (a compiler)
is built with the one of the distribution, or it could never be built at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cloud_builder.model.ids import SourceName, UnitPath
from cloud_builder.model.unit import Unit

from .relations import Alternatives

Numbers = tuple[int, ...]
"""Nodes by their number, ascending."""


class Node(NamedTuple):
    """A unit of a source, and the name of one of its targets."""

    source: SourceName
    unit: UnitPath
    target: str


@dataclass(frozen=True)
class Resolver:
    """Relations of a unit → the nodes that are meant."""

    nodes: Sequence[Node]
    number: Mapping[Node, int]
    providers: Mapping[str, Mapping[str, Numbers]]
    units: Sequence[Unit]

    def needs(self, number: int, unit: Unit, wanted: Iterable[Alternatives]) -> Numbers:
        source, _, target = self.nodes[number]
        found = set(self.by_hand(number, unit))
        for group in wanted:
            found.update(self.meant(group, source, target)[1])
        found.discard(number)
        return tuple(sorted(found))

    def by_hand(self, number: int, unit: Unit) -> Iterator[int]:
        """What `depends` of the manifest names."""
        source, _, target = self.nodes[number]
        nodes = (Node(source, path, target) for path in unit.depends)
        return (self.number[node] for node in nodes if node in self.number)

    def meant(self, group: Alternatives, source: SourceName, target: str) -> tuple[str, Sequence[int]]:
        """The name of the alternative that is taken, and the nodes that provide it; none: no unit does."""
        providers = self.providers.get(target, {})
        if len(group) == 1:
            return group[0].name, self._nearest(providers.get(group[0].name, ()), source)
        provided = [(each, providers[each.name]) for each in group if each.name in providers]
        ours = [(each, self._nearest(found, source)) for each, found in provided]
        for alternative, found in ours:
            if any(alternative.fits(self.units[number].version) for number in found):
                return alternative.name, found
        return (ours[0][0].name, ours[0][1]) if ours else ("", ())

    def _nearest(self, found: Numbers, source: SourceName) -> Sequence[int]:
        if len(found) < 2:
            return found
        return [number for number in found if self.nodes[number].source == source] or found
