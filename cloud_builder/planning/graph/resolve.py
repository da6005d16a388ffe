"""Which units of ours a relation of a package means.

Of its alternatives the first that a unit provides in a version that fits, as sbuild would take it: builds must not
differ by what else happens to be there. The others count only when nobody provides the first ones so; what no unit
provides in such a version is the distribution's (see `relations` for the rule). A unit of the same source is meant
before one of another; of several that provide a (virtual) name, all are: one too many costs an order, one too few a
wrong build. A version that is not known before the build fits. A unit that needs itself (a compiler) is built with the
one of the distribution, or it could never be built at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cloud_builder.model.ids import SourceName, UnitPath
from cloud_builder.model.unit import Unit
from cloud_builder.planning.relations import Alternative, Alternatives

Numbers = tuple[int, ...]
"""Nodes by their number, ascending."""


class Node(NamedTuple):
    """A unit of a source, and the name of one of its targets."""

    source: SourceName
    unit: UnitPath
    target: str


@dataclass(frozen=True)
class DependencyResolver:
    """Relations of a unit → the nodes that are meant."""

    nodes: Sequence[Node]
    number: Mapping[Node, int]
    providers: Mapping[str, Mapping[str, Numbers]]
    units: Sequence[Unit]

    def needs(self, number: int, unit: Unit, wanted: Iterable[Alternatives]) -> Numbers:
        source, _, target = self.nodes[number]
        found = set(self.explicit_needs(number, unit))
        for group in wanted:
            found.update(self.resolve(group, source, target)[1])
        found.discard(number)
        return tuple(sorted(found))

    def explicit_needs(self, number: int, unit: Unit) -> Iterator[int]:
        """What `depends` of the manifest names."""
        source, _, target = self.nodes[number]
        nodes = (Node(source, path, target) for path in unit.depends)
        return (self.number[node] for node in nodes if node in self.number)

    def resolve(self, group: Alternatives, source: SourceName, target: str) -> tuple[Alternative | None, Sequence[int]]:
        """The alternative that is taken, and the nodes that provide it; none: no unit does."""
        providers = self.providers.get(target, {})
        for alternative in group:
            found: Sequence[int] = providers.get(alternative.name, ())
            if found and alternative.operator:
                found = [number for number in found if _is_provided(alternative, self.units[number])]
            if found:
                return alternative, self._nearest(found, source)
        return None, ()

    def _nearest(self, found: Sequence[int], source: SourceName) -> Sequence[int]:
        if len(found) < 2:
            return found
        return [number for number in found if self.nodes[number].source == source] or found


def _is_provided(alternative: Alternative, unit: Unit) -> bool:
    """By a unit that has the name, in a version that fits."""
    versions = unit.virtual.get(alternative.name)
    return alternative.fits(unit.version) if versions is None else alternative.fits_any(versions)
