"""Updates the graph after a unit has changed: the same graph as built anew, in milliseconds.

Resolved again are the relations of the unit, and of the units that name a package which the unit began or ceased to
provide. Components and levels are computed again only for the nodes whose order can have changed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush

from cloud_builder.model.ids import SourceName
from cloud_builder.model.unit import Unit

from .graph import Graph, SourceSnapshot, rank
from .resolve import Node, PackageNode
from .scc import components_among, level_of
from .unit_edges import reachable

MAX_CHANGED_UNITS = 200
"""Replacing more units takes as long as building the graph anew."""


def replace_unit(graph: Graph, source: SourceName, unit: Unit) -> Graph:
    """Returns the graph with another version of one of its units, for the same targets.

    Raises KeyError for a unit or target that the graph does not have, and when other packages depend on something at
    run time than before: then it must be built anew."""
    own = {graph.number[Node(source, unit.path, target.name)]: target for target in unit.targets}
    old = graph.units[min(own)] if own else None
    if old is None or len(old.targets) != len(own) or old.runtime_depends.keys() != unit.runtime_depends.keys():
        raise KeyError(unit.path)
    units, targets = list(graph.units), list(graph.targets)
    for number, target in own.items():
        units[number], targets[number] = unit, target
    after = replace(graph, units=units, targets=targets)
    after = _update_providers(after, old, unit, own)
    changed = own.keys() | {
        graph.packages[PackageNode(number, name)] for number in own for name in unit.runtime_depends
    }
    after = _update_mentions(after, graph, changed)
    return _update_needs(after, _affected(after, old, unit) | changed)


def _update_providers(graph: Graph, old: Unit, unit: Unit, own: Iterable[int]) -> Graph:
    changed = set(old.provides) ^ set(unit.provides)
    if not changed:
        return graph
    providers = {target: dict(names) for target, names in graph.providers.items()}
    for number in own:
        names = providers.setdefault(graph.targets[number].name, {})
        for name in changed:
            numbers = {*names.get(name, ()), number} if name in unit.provides else {*names.get(name, ())} - {number}
            names[name] = tuple(sorted(numbers))
            if not numbers:
                del names[name]
    return replace(graph, providers={target: names for target, names in providers.items() if names})


def _update_mentions(graph: Graph, before: Graph, own: Iterable[int]) -> Graph:
    mentions, versioned = dict(graph.mentions), dict(graph.versioned)
    for number in own:
        for index, with_version in ((mentions, False), (versioned, True)):
            old, new = _mentioned(before, number, with_version), _mentioned(graph, number, with_version)
            for name in old - new:
                index[name] -= {number}
                if not index[name]:
                    del index[name]
            for name in new - old:
                index[name] = index.get(name, frozenset()) | {number}
    return replace(graph, mentions=mentions, versioned=versioned)


def _mentioned(graph: Graph, number: int, with_version: bool) -> set[str]:
    """Returns the packages that a node's relations name, or only those that they name with a version."""
    return {
        alternative.name
        for group in graph.relations(number)
        for alternative in group
        if alternative.operator or not with_version
    }


def _affected(graph: Graph, old: Unit, unit: Unit) -> set[int]:
    """Returns the nodes whose needs can have changed, because the unit provides other packages or versions."""
    affected: set[int] = set()
    for name in set(old.provides) ^ set(unit.provides) | old.virtual.keys() ^ unit.virtual.keys():
        affected |= graph.mentions.get(name, frozenset())
    for name in unit.provides if (old.version, old.virtual) != (unit.version, unit.virtual) else ():
        affected |= graph.versioned.get(name, frozenset())
    return affected


def _update_needs(graph: Graph, affected: Iterable[int]) -> Graph:
    resolver = graph.resolver()
    needs, dependants = list(graph.edges), list(graph.reverse_edges)
    changed = []
    for number in sorted(affected):
        relations = graph.relations(number)
        if number < len(graph.nodes):
            needs[number] = resolver.needs(number, graph.units[number], relations)
        else:
            needs[number] = resolver.runtime_needs(graph.package(number), relations)
        before, after = set(graph.edges[number]), set(needs[number])
        for need in before ^ after:
            dependants[need] = tuple(sorted({*dependants[need]} ^ {number}))
        if before != after:
            changed.append(number)
    updated = replace(graph, edges=needs, reverse_edges=dependants)
    reordered = [number for number in changed if not _keeps_order(updated, graph, number)]
    return _reorder(updated, graph, reordered) if reordered else updated


def _keeps_order(graph: Graph, before: Graph, number: int) -> bool:
    """True when the changed needs of a node neither open nor close a cycle, and keep the node's level.

    A node of a lower level cannot depend on this node."""
    level, component = graph.level, graph.component
    own = component[number]
    if any(component[need] != own for need in _closing(graph, before, number)):
        return False
    removed = set(before.edges[number]) - set(graph.edges[number])
    if any(component[need] == own for need in removed):
        return False
    had_set_level = any(level[need] == level[number] - 1 for need in removed)
    return not had_set_level or level_of(_component(graph, number), graph.edges, level) == level[number]


def _component(graph: Graph, number: int) -> Sequence[int]:
    return graph.components.get(graph.component[number], (number,))


def _closing(graph: Graph, before: Graph, number: int) -> set[int]:
    """Returns the new needs of a node that can depend on it, and so close a cycle."""
    added = set(graph.edges[number]) - set(before.edges[number])
    return {need for need in added if graph.level[need] >= graph.level[number]}


def _reorder(graph: Graph, before: Graph, reordered: Sequence[int]) -> Graph:
    """Returns the graph with new components where cycles can have changed, and new levels where these have."""
    component, level, ranks = list(graph.component), list(graph.level), list(graph.rank)
    region = {member for number in reordered for member in _cycle_candidates(graph, before, number)}
    components = {first: numbers for first, numbers in graph.components.items() if first not in region}
    moved, relevelled = set(), []
    for numbers in components_among(region, graph.edges):
        first, own_level = min(numbers), level_of(numbers, graph.edges, level)
        moved |= {number for number in numbers if (component[number], level[number]) != (first, own_level)}
        relevelled += [number for number in numbers if level[number] != own_level]
        for number in numbers:
            component[number], level[number] = first, own_level
        if len(numbers) > 1:
            components[first] = tuple(sorted(numbers))
    after = replace(graph, component=component, level=level, components=components, rank=ranks)
    for number in moved | _propagate_levels(after, level, relevelled):
        ranks[number] = rank(level[number], component[number], number, len(ranks))
    return after


def _cycle_candidates(graph: Graph, before: Graph, number: int) -> set[int]:
    """Returns the nodes that are, or were, in a cycle with the node.

    These are its old component, and the nodes on the paths between the node and its new needs."""
    own = set(_component(graph, number))
    closing = _closing(graph, before, number)
    above = {*reachable([number], graph.reverse_edges)} if closing else set()
    between: set[int] = set()
    todo = list(closing & above)
    while todo:
        fresh = {need for need in graph.edges[todo.pop()] if need in above} - between
        between |= fresh
        todo += fresh
    return own | between | (closing & above)


def _propagate_levels(graph: Graph, level: list[int], relevelled: Iterable[int]) -> set[int]:
    """Changes `level` of the nodes above the relevelled ones until all levels are consistent.

    Returns the nodes whose level was changed."""
    moved: set[int] = set()
    todo = _components_above(graph, relevelled)
    heapify(todo)
    waiting = set(todo)
    while todo:
        entry = heappop(todo)
        waiting.discard(entry)
        members = graph.components.get(entry[1], (entry[1],))
        new_level = level_of(members, graph.edges, level)
        if new_level != level[entry[1]]:
            moved.update(members)
            for number in members:
                level[number] = new_level
            for above in _components_above(graph, members):
                if above not in waiting:
                    waiting.add(above)
                    heappush(todo, above)
    return moved


def _components_above(graph: Graph, numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Returns (level, component) of the other components that directly need one of these nodes."""
    component, level = graph.component, graph.level
    above = {component[dependant] for number in numbers for dependant in graph.reverse_edges[number]
             if component[dependant] != component[number]}  # fmt: skip
    return [(level[first], first) for first in above]


def update_source(graph: Graph, snapshot: SourceSnapshot) -> Graph | None:
    """Returns the graph with a source at another commit; None: so many units differ that building it anew is faster."""
    before = {graph.nodes[number].unit: graph.units[number] for number in _numbers(graph, snapshot)}
    changed = [unit for unit in snapshot.units if before.get(unit.path) != unit]
    if len(before) != len(snapshot.units) or len(changed) > MAX_CHANGED_UNITS:
        return None
    try:
        for unit in changed:
            graph = replace_unit(graph, snapshot.source, unit)
    except KeyError:
        return None
    return replace(graph, origins={**graph.origins, snapshot.source: snapshot.origin})


def _numbers(graph: Graph, snapshot: SourceSnapshot) -> range:
    first = bisect_left(graph.nodes, (snapshot.source,))
    last = bisect_left(graph.nodes, (f"{snapshot.source}\0",))
    return range(first, last)
