"""The dependency graph: units × targets of all sources, and what each of them needs.

*Input:* source snapshots. *Output:* a frozen `Graph`. The graph depends on nothing but the snapshots: neither their
order nor whether the graph was built whole or updated by one unit makes a difference.
*Must not:* decide about a request (see `request/expand.py`), or know what is built already (see `inputs`).

    build.build_graph(snapshots) ─► Graph ─► units_for, transitive_needs, transitive_dependants   what a request selects
                                             topological_order                                    each after its needs
                                             component_of                                         members of a cycle
    incremental.replace_unit(graph, source, unit) ─► Graph    after a push

See `resolve` for the unit that a relation means. Nodes are numbered by name, so that comparing numbers compares names.
Packages that depend on others at run time are nodes behind the units (see `unit_edges`). They order units, and are
never selected. Building the graph of Debian's whole index (34,000 sources, 250,000 relations) takes seconds. Replacing
a unit takes milliseconds, because only its neighbours are resolved again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from cloud_builder.model.ids import Revision, SourceName, UnitPath
from cloud_builder.model.rebuild import DEFAULT_SUFFIX
from cloud_builder.model.unit import UNKNOWN_TARGET, Target, Unit
from cloud_builder.planning.relations import Alternative, Alternatives, cached_groups, groups

from .resolve import DependencyResolver, Node, PackageNode
from .unit_edges import Numbers, UnitEdges, reachable

__all__ = ["Graph", "Node", "Origin", "SourceSnapshot", "rank", "runtime_relations"]


class Origin(NamedTuple):
    """The repository and the commit of a source's units."""

    url: str
    revision: Revision
    rebuild_suffix: str = DEFAULT_SUFFIX


class SourceSnapshot(NamedTuple):
    """The units of a source at one commit."""

    source: SourceName
    origin: Origin
    units: Sequence[Unit]


class Resolution(NamedTuple):
    """A relation, the alternative that is taken (None: no unit provides any), and the units that provide it."""

    relation: Alternatives
    alternative: Alternative | None
    providers: Sequence[int]


@dataclass(frozen=True)
class Graph:
    """The dependency graph. Sequences are indexed by the node's number, and are never changed."""

    origins: Mapping[SourceName, Origin]
    nodes: Sequence[Node]
    number: Mapping[Node, int]
    units: Sequence[Unit]
    targets: Sequence[Target]
    packages: Mapping[PackageNode, int]
    """The packages that depend on others at run time, in the order of their numbers, which follow those of `nodes`."""
    edges: Sequence[Numbers]
    """Direct needs of units and of packages, in units and in packages."""
    reverse_edges: Sequence[Numbers]
    component: Sequence[int]
    """Number of the first member of the node's component; the node's own number when it is in no cycle."""
    level: Sequence[int]
    """Length of the longest chain of edges below the node; a component counts as one node."""
    components: Mapping[int, Numbers]
    """Component → its units and packages; only components with several."""
    rank: Sequence[int]
    """Sort key: a node with a smaller rank is earlier in every order."""
    providers: Mapping[str, Mapping[str, Numbers]]
    """Target name → binary package → units that provide it."""
    mentions: Mapping[str, frozenset[int]]
    """Binary package → nodes whose relations name it."""
    versioned: Mapping[str, frozenset[int]]
    """Binary package → nodes that name it with a version."""

    @property
    def needs(self) -> Sequence[Numbers]:
        """For each unit, those whose packages are in its build root, and those that its manifest names.

        A package is in the build root because the unit build-depends on it, or because a package there needs it."""
        return UnitEdges(self.edges, len(self.nodes))

    @property
    def dependants(self) -> Sequence[Numbers]:
        """For each unit, those that it is among the needs of."""
        return UnitEdges(self.reverse_edges, len(self.nodes))

    def relations(self, number: int) -> Sequence[Alternatives]:
        """Returns the build dependencies of a unit, or what a package depends on."""
        if number < len(self.nodes):
            unit = self.units[number]
            return groups(unit.build_depends, self.targets[number].arch, unit.profiles)
        return runtime_relations(self.package(number), self.units, self.targets)

    def resolutions(self, number: int, profiles: tuple[str, ...] = ()) -> Iterator[Resolution]:
        """Yields each relation that decides what is in the build root of a unit, resolved.

        These are the build dependencies with the profiles, and the relations of the packages that they lead to."""
        unit, resolver = self.units[number], self.resolver()
        own = groups(unit.build_depends, self.targets[number].arch, (*unit.profiles, *profiles))
        todo = [(number, group) for group in own]
        packages: set[PackageNode] = set()
        while todo:
            owner, group = todo.pop()
            found = resolver.resolve(group, self.nodes[owner].source, self.nodes[owner].target)
            yield Resolution(group, *found)
            for package in resolver.packages_meant(*found):
                if package not in packages:
                    packages.add(package)
                    todo += [(package.unit, needed) for needed in self.relations(self.packages[package])]

    def resolver(self) -> DependencyResolver:
        return DependencyResolver(self.nodes, self.number, self.providers, self.units, self.packages)

    def package(self, number: int) -> PackageNode:
        return self._packages[number - len(self.nodes)]

    @cached_property
    def _packages(self) -> Sequence[PackageNode]:
        return list(self.packages)

    def units_for(self, source: SourceName, units: Collection[UnitPath], targets: Collection[str] = ()) -> list[int]:
        """Returns the nodes of these units of a source; without `targets` for all targets of each unit.

        A broken unit whose targets are not known counts as one of each target."""
        numbers = []
        for path in sorted(set(units)):
            number = bisect_left(self.nodes, (source, path, ""))
            while number < len(self.nodes) and self.nodes[number][:2] == (source, path):
                if not targets or self.nodes[number].target in (*targets, UNKNOWN_TARGET.name):
                    numbers.append(number)
                number += 1
        return numbers

    def paths(self, source: SourceName) -> set[UnitPath]:
        """Returns the paths of all units of a source."""
        return {node.unit for node in self.nodes if node.source == source}

    def transitive_dependants(self, start: Iterable[int]) -> list[int]:
        """Returns `start` and all units that need one of these, directly or not."""
        return [number for number in reachable(start, self.reverse_edges) if number < len(self.nodes)]

    def transitive_needs(self, start: Iterable[int]) -> set[int]:
        """Returns `start` and all nodes that these need, directly or not, in their own source.

        Packages of another source are taken as they are published: a broken unit of another source stops no build."""
        seen = set(start)
        by_source: dict[SourceName, list[int]] = defaultdict(list)
        for number in seen:
            by_source[self.nodes[number].source].append(number)
        for source, todo in by_source.items():
            packages: set[int] = set()
            while todo:
                for need in self.edges[todo.pop()]:
                    if need >= len(self.nodes):
                        if need not in packages:
                            packages.add(need)
                            todo.append(need)
                    elif need not in seen and self.nodes[need].source == source:
                        seen.add(need)
                        todo.append(need)
        return seen

    def topological_order(self, numbers: Collection[int]) -> list[int]:
        """Returns each node after its needs, the members of a cycle side by side; otherwise sorted by name."""
        return sorted(numbers, key=self.rank.__getitem__)

    def component_of(self, number: int) -> Numbers:
        """Returns the units of the unit's cycle; the unit alone when it is in no cycle."""
        members = self.components.get(self.component[number], (number,))
        return members if members[-1] < len(self.nodes) else tuple(each for each in members if each < len(self.nodes))

    def cycles(self) -> Iterator[Numbers]:
        """Yields the units of each cycle."""
        cycles = (self.component_of(first) for first in self.components if first < len(self.nodes))
        return (members for members in cycles if len(members) > 1)


def rank(level: int, component: int, number: int, count: int) -> int:
    """Returns one number that sorts by level, then by component, then by name. `count`: the number of all nodes."""
    return (level * count + component) * count + number


def runtime_relations(package: PackageNode, units: Sequence[Unit], targets: Sequence[Target]) -> Sequence[Alternatives]:
    """Returns what a package depends on."""
    return cached_groups(units[package.unit].runtime_depends[package.name], targets[package.unit].arch)
