"""Resolves the relations of a unit, or of a package, to units and their packages.

- The first alternative that a unit provides in a version that fits is taken, as sbuild does: a build must not depend on
  what else happens to be installable. The other alternatives count only if no unit provides the first ones.
- If no unit provides any alternative in such a version, the package comes from the distribution. See
  `planning/relations.py` for the rule.
- A unit of the same source is preferred to one of another source.
- If several units provide a (virtual) name, all are taken: a dependency too many only delays a job, a dependency too
  few makes a wrong build.
- A version that is unknown before the build fits.
- A unit that needs itself (a compiler) is built with the package of the distribution; else it could never be built.
- Where the relation means a package that depends on others at run time, the package is needed, too: what it depends on
  is in the build root as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cloud_builder.model.ids import SourceName, UnitPath
from cloud_builder.model.unit import Unit
from cloud_builder.planning.relations import Alternative, Alternatives

from .unit_edges import Numbers


class Node(NamedTuple):
    """A unit of a source, and the name of one of its targets."""

    source: SourceName
    unit: UnitPath
    target: str


class PackageNode(NamedTuple):
    """A package that depends on others at run time, of the unit with the number `unit`."""

    unit: int
    name: str


@dataclass(frozen=True)
class DependencyResolver:
    """Relations of a unit or a package → the nodes that it needs."""

    nodes: Sequence[Node]
    number: Mapping[Node, int]
    providers: Mapping[str, Mapping[str, Numbers]]
    """Target name → binary package → nodes that provide it."""
    units: Sequence[Unit]
    packages: Mapping[PackageNode, int]
    """The packages that depend on others, with their numbers."""

    def needs(self, number: int, unit: Unit, relations: Iterable[Alternatives]) -> Numbers:
        """Returns the nodes that a unit needs directly."""
        needs = {*self.explicit_needs(number, unit), *self._needs(number, relations)}
        return tuple(sorted(needs - {number} - self._packages_of(number)))

    def runtime_needs(self, package: PackageNode, relations: Iterable[Alternatives]) -> Numbers:
        """Returns the nodes that a package needs at run time directly. Its own unit is there already."""
        return tuple(sorted({*self._needs(package.unit, relations)} - {package.unit, self.packages[package]}))

    def _needs(self, number: int, relations: Iterable[Alternatives]) -> Iterator[int]:
        source, _, target = self.nodes[number]
        for group in relations:
            alternative, providers = self.resolve(group, source, target)
            yield from providers
            if self.packages:
                yield from map(self.packages.__getitem__, self.packages_meant(alternative, providers))

    def packages_meant(self, alternative: Alternative | None, providers: Iterable[int]) -> Iterator[PackageNode]:
        """Yields the packages of the providers that the alternative means. Each can provide a virtual package."""
        if alternative is None:
            return
        for number in providers:
            unit = self.units[number]
            names = unit.runtime_depends if alternative.name in unit.virtual else (alternative.name,)
            yield from (PackageNode(number, name) for name in names if name in unit.runtime_depends)

    def _packages_of(self, number: int) -> set[int]:
        return {self.packages[PackageNode(number, name)] for name in self.units[number].runtime_depends}

    def explicit_needs(self, number: int, unit: Unit) -> Iterator[int]:
        """Yields the nodes that `depends` of the manifest names."""
        source, _, target = self.nodes[number]
        nodes = (Node(source, path, target) for path in unit.depends)
        return (self.number[node] for node in nodes if node in self.number)

    def resolve(self, group: Alternatives, source: SourceName, target: str) -> tuple[Alternative | None, Sequence[int]]:
        """Returns the alternative that is taken and the nodes that provide it; (None, ()): no unit provides any."""
        by_package = self.providers.get(target, {})
        for alternative in group:
            providers: Sequence[int] = by_package.get(alternative.name, ())
            if providers and alternative.operator:
                providers = [number for number in providers if _is_provided(alternative, self.units[number])]
            if providers:
                return alternative, self._prefer_source(providers, source)
        return None, ()

    def _prefer_source(self, providers: Sequence[int], source: SourceName) -> Sequence[int]:
        if len(providers) < 2:
            return providers
        return [number for number in providers if self.nodes[number].source == source] or providers


def _is_provided(alternative: Alternative, unit: Unit) -> bool:
    """True when the unit, which provides the name, provides it in a version that fits."""
    versions = unit.virtual.get(alternative.name)
    return alternative.fits(unit.version) if versions is None else alternative.fits_any(versions)
