"""Units × targets of all sources, and what each needs: the map that every plan is read from.

Snapshots of sources come in; out comes a frozen `Graph`, which is a function of them: whatever order they are given
in, and whether the graph was built whole or one unit was exchanged in it. It decides nothing about a request (see
`expand`) and knows nothing of what is built already (see `ready`).

    graph(snapshots) ─► Graph ─► units_for, all_needs, reach    what a request means
                                 in_order                       every node after what it needs
                                 component_of                   who is in a dependency cycle with whom
    exchange.exchanged(graph, source, unit) ─► Graph            after a push

Which unit a relation means: see `meaning`. Nodes are numbered by name, so that comparing numbers is comparing names.
Debian's whole index (34,000 sources, 250,000 relations) takes seconds, an exchanged unit milliseconds: only its
neighbours are looked at again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cloud_builder.model.ids import Revision, SourceName, UnitPath
from cloud_builder.model.unit import Target, Unit
from cloud_builder.planning.relations import groups

from .resolve import DependencyResolver, Node, Numbers
from .scc import level_of, strongly_connected

__all__ = ["Graph", "Node", "Origin", "SourceSnapshot", "build_graph", "rank"]


class Origin(NamedTuple):
    """Where the units of a source are from."""

    url: str
    revision: Revision


class SourceSnapshot(NamedTuple):
    """The units of a source at one commit."""

    source: SourceName
    origin: Origin
    units: Sequence[Unit]


@dataclass(frozen=True)
class Graph:
    """See the module. Lists are by the node's number; nobody changes them.

    `needs` and `dependants`: the direct ones. `level`: longest way down to what needs nothing, cycles counted as one.
    `component`: number of the first member of the cycle that the node is in, its own when it is in none.
    `members`: of each cycle, by its component. `place`: smaller is earlier in every order."""

    origins: Mapping[SourceName, Origin]
    nodes: Sequence[Node]
    number: Mapping[Node, int]
    units: Sequence[Unit]
    targets: Sequence[Target]
    needs: Sequence[Numbers]
    dependants: Sequence[Numbers]
    component: Sequence[int]
    level: Sequence[int]
    members: Mapping[int, Numbers]
    rank: Sequence[int]
    providers: Mapping[str, Mapping[str, Numbers]]
    """Target name → binary package → nodes that provide it."""
    mentions: Mapping[str, frozenset[int]]
    """Binary package → nodes whose relations name it."""
    versioned: Mapping[str, frozenset[int]]
    """Binary package → nodes that name it with a version."""

    def units_for(self, source: SourceName, units: Collection[UnitPath], targets: Collection[str] = ()) -> list[int]:
        """The nodes of these units of a source; without `targets` for all that they have."""
        found = []
        for path in sorted(set(units)):
            number = bisect_left(self.nodes, (source, path, ""))
            while number < len(self.nodes) and self.nodes[number][:2] == (source, path):
                if not targets or self.nodes[number].target in targets:
                    found.append(number)
                number += 1
        return found

    def paths(self, source: SourceName) -> set[UnitPath]:
        """Of all units of a source."""
        return {node.unit for node in self.nodes if node.source == source}

    def reachable(self, start: Iterable[int], edges: Sequence[Numbers]) -> list[int]:
        """`start` and all that can be reached along `needs` or `dependants`."""
        found = list(dict.fromkeys(start))
        seen = bytearray(len(edges))
        for number in found:
            seen[number] = True
        for number in found:  # grows meanwhile
            for other in edges[number]:
                if not seen[other]:
                    seen[other] = True
                    found.append(other)
        return found

    def transitive_needs(self, start: Iterable[int]) -> set[int]:
        """What is drawn in for a build: `start`, and all that these need in their own source, and so on.

        What is needed of another source is taken as it is published: somebody else's broken unit stops nobody here."""
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
        """Every node after what it needs, members of a cycle side by side; otherwise by name."""
        return sorted(numbers, key=self.rank.__getitem__)

    def component_of(self, number: int) -> Numbers:
        """The members of the cycle that it is in; itself alone when it is in none."""
        return self.members.get(self.component[number], (number,))


def build_graph(snapshots: Iterable[SourceSnapshot]) -> Graph:
    """The graph over the newest snapshots of all sources; one a source."""
    known = {snapshot.source: snapshot for snapshot in sorted(snapshots, key=lambda each: each.source)}
    rows = [
        (Node(source, unit.path, target.name), unit, target)
        for source, snapshot in known.items()
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
        origins={source: snapshot.origin for source, snapshot in known.items()},
        nodes=nodes,
        number=resolver.number,
        units=units,
        targets=targets,
        needs=needs,
        dependants=_reversed(needs),
        component=component,
        level=level,
        members=members,
        rank=[rank(*each, len(nodes)) for each in zip(level, component, range(len(nodes)), strict=True)],
        providers=resolver.providers,
        mentions=mentions,
        versioned=versioned,
    )


def rank(level: int, component: int, number: int, count: int) -> int:
    """One number that compares as the three do: by level, a cycle side by side, by name. `count`: of all nodes."""
    return (level * count + component) * count + number


def _providers(units: Sequence[Unit], targets: Sequence[Target]) -> dict[str, dict[str, Numbers]]:
    found: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, unit in enumerate(units):
        for name in dict.fromkeys(unit.provides):
            found[targets[number].name][name].append(number)
    return {target: {name: tuple(numbers) for name, numbers in names.items()} for target, names in found.items()}


def _resolved(
    resolver: DependencyResolver, targets: Sequence[Target]
) -> tuple[list[Numbers], dict[str, frozenset[int]], dict[str, frozenset[int]]]:
    """(needs, mentions, versioned) of all units."""
    needs: list[Numbers] = []
    mentions: dict[str, set[int]] = defaultdict(set)
    versioned: dict[str, set[int]] = defaultdict(set)
    for number, (unit, target) in enumerate(zip(resolver.units, targets, strict=True)):
        wanted = groups(unit.build_depends, target.arch)
        needs.append(resolver.needs(number, unit, wanted))
        for group in wanted:
            for alternative in group:
                mentions[alternative.name].add(number)
                if alternative.operator:
                    versioned[alternative.name].add(number)
    return needs, {n: frozenset(each) for n, each in mentions.items()}, {n: frozenset(e) for n, e in versioned.items()}


def _reversed(needs: Sequence[Numbers]) -> list[Numbers]:
    found: list[list[int]] = [[] for _ in needs]
    for number, each in enumerate(needs):
        for need in each:
            found[need].append(number)
    return [tuple(each) for each in found]


def _components(needs: Sequence[Numbers]) -> tuple[list[int], list[int], dict[int, Numbers]]:
    """(component, level, members)."""
    component, level, members = [0] * len(needs), [0] * len(needs), {}
    for found in strongly_connected(needs):
        first, depth = min(found), level_of(found, needs, level)
        for number in found:
            component[number], level[number] = first, depth
        if len(found) > 1:
            members[first] = tuple(sorted(found))
    return component, level, members
