"""The dependency graph: units × targets of all sources, and what each of them needs.

*Input:* source snapshots. *Output:* a frozen `Graph`. The graph depends on nothing but the snapshots: neither their
order nor whether the graph was built whole or updated by one unit makes a difference.
*Must not:* decide about a request (see `request/expand.py`), or know what is built already (see `inputs`).

    build_graph(snapshots) ─► Graph ─► units_for, transitive_needs, reachable   the nodes that a request selects
                                       topological_order                        each node after its needs
                                       component_of                             the members of a dependency cycle
    incremental.replace_unit(graph, source, unit) ─► Graph                      after a push

See `resolve` for the unit that a relation means. Nodes are numbered by name, so that comparing numbers compares names.
Building the graph of Debian's whole index (34,000 sources, 250,000 relations) takes seconds. Replacing a unit takes
milliseconds, because only its neighbours are resolved again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cloud_builder.model.ids import Revision, SourceName, UnitPath
from cloud_builder.model.rebuild import DEFAULT_SUFFIX
from cloud_builder.model.unit import UNKNOWN_TARGET, Target, Unit
from cloud_builder.planning.relations import groups

from .resolve import DependencyResolver, Node, Numbers
from .scc import level_of, strongly_connected

__all__ = ["Graph", "Node", "Origin", "SourceSnapshot", "build_graph", "rank"]


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


@dataclass(frozen=True)
class Graph:
    """The dependency graph. Sequences are indexed by the node's number, and are never changed."""

    origins: Mapping[SourceName, Origin]
    nodes: Sequence[Node]
    number: Mapping[Node, int]
    units: Sequence[Unit]
    targets: Sequence[Target]
    needs: Sequence[Numbers]
    """Direct needs."""
    dependants: Sequence[Numbers]
    """Direct dependants."""
    component: Sequence[int]
    """Number of the first member of the node's cycle; the node's own number when it is in no cycle."""
    level: Sequence[int]
    """Length of the longest chain of needs below the node; a cycle counts as one node."""
    members: Mapping[int, Numbers]
    """Component → the members of the cycle; only components with several members."""
    rank: Sequence[int]
    """Sort key: a node with a smaller rank is earlier in every order."""
    providers: Mapping[str, Mapping[str, Numbers]]
    """Target name → binary package → nodes that provide it."""
    mentions: Mapping[str, frozenset[int]]
    """Binary package → nodes whose relations name it."""
    versioned: Mapping[str, frozenset[int]]
    """Binary package → nodes that name it with a version."""

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

    def reachable(self, start: Iterable[int], edges: Sequence[Numbers]) -> list[int]:
        """Returns `start` and all nodes that can be reached from it. `edges`: `needs` or `dependants`."""
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

    def transitive_needs(self, start: Iterable[int]) -> set[int]:
        """Returns `start` and all nodes that these need, directly or not, in their own source.

        Packages of another source are taken as they are published: a broken unit of another source stops no build."""
        seen = set(start)
        todo = list(seen)
        while todo:
            number = todo.pop()
            source = self.nodes[number].source
            for need in self.needs[number]:
                if need not in seen and self.nodes[need].source == source:
                    seen.add(need)
                    todo.append(need)
        return seen

    def topological_order(self, numbers: Collection[int]) -> list[int]:
        """Returns each node after its needs, the members of a cycle side by side; otherwise sorted by name."""
        return sorted(numbers, key=self.rank.__getitem__)

    def component_of(self, number: int) -> Numbers:
        """Returns the members of the node's cycle; the node alone when it is in no cycle."""
        return self.members.get(self.component[number], (number,))


def build_graph(snapshots: Iterable[SourceSnapshot]) -> Graph:
    """Returns the graph over the newest snapshots of all sources, one snapshot a source."""
    by_source = {snapshot.source: snapshot for snapshot in sorted(snapshots, key=lambda snapshot: snapshot.source)}
    rows = [
        (Node(source, unit.path, target.name), unit, target)
        for source, snapshot in by_source.items()
        for unit in snapshot.units
        for target in unit.targets
    ]
    rows.sort(key=lambda row: row[0])
    nodes, units, targets = [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
    resolver = DependencyResolver(
        nodes, {node: number for number, node in enumerate(nodes)}, _providers(units, targets), units
    )
    needs, mentions, versioned = _resolved(resolver, targets)
    component, level, members = _components(needs)
    return Graph(
        origins={source: snapshot.origin for source, snapshot in by_source.items()},
        nodes=nodes,
        number=resolver.number,
        units=units,
        targets=targets,
        needs=needs,
        dependants=_reversed(needs),
        component=component,
        level=level,
        members=members,
        rank=[rank(*parts, len(nodes)) for parts in zip(level, component, range(len(nodes)), strict=True)],
        providers=resolver.providers,
        mentions=mentions,
        versioned=versioned,
    )


def rank(level: int, component: int, number: int, count: int) -> int:
    """Returns one number that sorts by level, then by component, then by name. `count`: the number of all nodes."""
    return (level * count + component) * count + number


def _providers(units: Sequence[Unit], targets: Sequence[Target]) -> dict[str, dict[str, Numbers]]:
    by_target: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, unit in enumerate(units):
        for name in dict.fromkeys(unit.provides):
            by_target[targets[number].name][name].append(number)
    return {target: {name: tuple(numbers) for name, numbers in names.items()} for target, names in by_target.items()}


def _resolved(
    resolver: DependencyResolver, targets: Sequence[Target]
) -> tuple[list[Numbers], dict[str, frozenset[int]], dict[str, frozenset[int]]]:
    """Returns (needs, mentions, versioned) of all units."""
    needs: list[Numbers] = []
    mentions: dict[str, set[int]] = defaultdict(set)
    versioned: dict[str, set[int]] = defaultdict(set)
    for number, (unit, target) in enumerate(zip(resolver.units, targets, strict=True)):
        relations = groups(unit.build_depends, target.arch, unit.profiles)
        needs.append(resolver.needs(number, unit, relations))
        for group in relations:
            for alternative in group:
                mentions[alternative.name].add(number)
                if alternative.operator:
                    versioned[alternative.name].add(number)
    return needs, _frozen(mentions), _frozen(versioned)


def _frozen(index: Mapping[str, set[int]]) -> dict[str, frozenset[int]]:
    return {name: frozenset(numbers) for name, numbers in index.items()}


def _reversed(needs: Sequence[Numbers]) -> list[Numbers]:
    dependants: list[list[int]] = [[] for _ in needs]
    for number, own_needs in enumerate(needs):
        for need in own_needs:
            dependants[need].append(number)
    return [tuple(numbers) for numbers in dependants]


def _components(needs: Sequence[Numbers]) -> tuple[list[int], list[int], dict[int, Numbers]]:
    """Returns (component, level, members), see `Graph`."""
    component, level, members = [0] * len(needs), [0] * len(needs), {}
    for numbers in strongly_connected(needs):
        first, own_level = min(numbers), level_of(numbers, needs, level)
        for number in numbers:
            component[number], level[number] = first, own_level
        if len(numbers) > 1:
            members[first] = tuple(sorted(numbers))
    return component, level, members
