"""Builds the dependency graph of source snapshots (see `graph`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from cloud_builder.model.unit import Target, Unit
from cloud_builder.planning.relations import Alternatives, groups

from .graph import Graph, SourceSnapshot, rank, runtime_relations
from .resolve import DependencyResolver, Node, PackageNode
from .scc import level_of, strongly_connected
from .unit_edges import Numbers


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
    numbers = {node: number for number, node in enumerate(nodes)}
    packages = _packages(units)
    resolver = DependencyResolver(nodes, numbers, _providers(units, targets), units, packages)
    needs, mentions, versioned = _resolved(resolver, targets)
    component, level, components = _components(needs)
    return Graph(
        origins={source: snapshot.origin for source, snapshot in by_source.items()},
        nodes=nodes,
        number=resolver.number,
        units=units,
        targets=targets,
        packages=packages,
        edges=needs,
        reverse_edges=_reversed(needs),
        component=component,
        level=level,
        components=components,
        rank=[rank(*parts, len(needs)) for parts in zip(level, component, range(len(needs)), strict=True)],
        providers=resolver.providers,
        mentions=mentions,
        versioned=versioned,
    )


def _packages(units: Sequence[Unit]) -> dict[PackageNode, int]:
    """Returns the packages that depend on others, with their numbers."""
    packages = (PackageNode(number, name) for number, unit in enumerate(units) for name in sorted(unit.runtime_depends))
    return {package: number for number, package in enumerate(packages, len(units))}


def _providers(units: Sequence[Unit], targets: Sequence[Target]) -> dict[str, dict[str, Numbers]]:
    by_target: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, unit in enumerate(units):
        for name in dict.fromkeys(unit.provides):
            by_target[targets[number].name][name].append(number)
    return {target: {name: tuple(numbers) for name, numbers in names.items()} for target, names in by_target.items()}


def _resolved(
    resolver: DependencyResolver, targets: Sequence[Target]
) -> tuple[list[Numbers], dict[str, frozenset[int]], dict[str, frozenset[int]]]:
    """Returns (needs, mentions, versioned) of all units and packages."""
    needs: list[Numbers] = []
    mentions: dict[str, set[int]] = defaultdict(set)
    versioned: dict[str, set[int]] = defaultdict(set)

    def mention(number: int, relations: Iterable[Alternatives]) -> None:
        for group in relations:
            for alternative in group:
                mentions[alternative.name].add(number)
                if alternative.operator:
                    versioned[alternative.name].add(number)

    for number, (unit, target) in enumerate(zip(resolver.units, targets, strict=True)):
        relations = groups(unit.build_depends, target.arch, unit.profiles)
        needs.append(resolver.needs(number, unit, relations))
        mention(number, relations)
    for package, number in resolver.packages.items():
        runtime = runtime_relations(package, resolver.units, targets)
        needs.append(resolver.runtime_needs(package, runtime))
        mention(number, runtime)
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
    """Returns (component, level, components), see `Graph`."""
    component, level, components = [0] * len(needs), [0] * len(needs), {}
    for numbers in strongly_connected(needs):
        first, own_level = min(numbers), level_of(numbers, needs, level)
        for number in numbers:
            component[number], level[number] = first, own_level
        if len(numbers) > 1:
            components[first] = tuple(sorted(numbers))
    return component, level, components
