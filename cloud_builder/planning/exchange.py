"""The graph after one unit was changed, from the graph before: the same as if it were built anew, in milliseconds.

Looked at again are the unit, those that name what it began or ceased to provide, and, only when the order cannot have
stayed as it was, those that depend on them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace

from cloud_builder.model.ids import SourceName
from cloud_builder.model.unit import Unit

from .components import among, depth_of
from .graph import Graph, Snapshot, place
from .meaning import Node, Numbers, Resolver
from .relations import groups

MOST = 200
"""Units: exchanging more takes as long as building the graph anew."""


def exchanged(graph: Graph, source: SourceName, unit: Unit) -> Graph:
    """With another state of a unit that it has, for the same targets. KeyError for any other unit: build it anew."""
    own = {graph.number[Node(source, unit.path, target.name)]: target for target in unit.targets}
    old = graph.units[min(own)] if own else None
    if old is None or len(old.targets) != len(own):
        raise KeyError(unit.path)
    units, targets = list(graph.units), list(graph.targets)
    for number, target in own.items():
        units[number], targets[number] = unit, target
    after = replace(graph, units=units, targets=targets)
    after = _provided(after, old, unit, own)
    after = _named(after, graph, own)
    return _needed(after, _looked_at_again(after, old, unit) | own.keys())


def _provided(graph: Graph, old: Unit, unit: Unit, own: Iterable[int]) -> Graph:
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


def _named(graph: Graph, before: Graph, own: Iterable[int]) -> Graph:
    mentions, choices = dict(graph.mentions), dict(graph.choices)
    for number in own:
        for index, least in ((mentions, 1), (choices, 2)):
            old, new = _names(before, number, least), _names(graph, number, least)
            for name in old - new:
                index[name] -= {number}
                if not index[name]:
                    del index[name]
            for name in new - old:
                index[name] = index.get(name, frozenset()) | {number}
    return replace(graph, mentions=mentions, choices=choices)


def _names(graph: Graph, number: int, least: int) -> set[str]:
    """What a unit's relations name; only those with at least so many alternatives count."""
    wanted = groups(graph.units[number].build_depends, graph.targets[number].arch)
    return {each.name for group in wanted if len(group) >= least for each in group}


def _looked_at_again(graph: Graph, old: Unit, unit: Unit) -> set[int]:
    """Whose needs may have changed because of what the unit provides, and in which version."""
    found: set[int] = set()
    for name in set(old.provides) ^ set(unit.provides):
        found |= graph.mentions.get(name, frozenset())
    for name in unit.provides if old.version != unit.version else ():
        found |= graph.choices.get(name, frozenset())
    return found


def _needed(graph: Graph, suspects: Iterable[int]) -> Graph:
    resolver = Resolver(graph.nodes, graph.number, graph.providers, graph.units)
    needs, dependants = list(graph.needs), list(graph.dependants)
    changed = []
    for number in sorted(suspects):
        wanted = groups(graph.units[number].build_depends, graph.targets[number].arch)
        needs[number] = resolver.needs(number, graph.units[number], wanted)
        before, after = set(graph.needs[number]), set(needs[number])
        for need in before ^ after:
            dependants[need] = tuple(sorted({*dependants[need]} ^ {number}))
        if before != after:
            changed.append(number)
    after_all = replace(graph, needs=needs, dependants=dependants)
    unsettled = [number for number in changed if not _is_settled(after_all, graph, number)]
    return _reordered(after_all, unsettled) if unsettled else after_all


def _is_settled(graph: Graph, before: Graph, number: int) -> bool:
    """True when these other needs neither open nor close a cycle, and lie no deeper and no less deep than before.

    What lies less deep than a node cannot depend on it."""
    level, component = graph.level, graph.component
    fresh = set(graph.needs[number]) - set(before.needs[number])
    gone = set(before.needs[number]) - set(graph.needs[number])
    inside = component[number]
    if any(component[need] != inside and level[need] >= level[number] for need in fresh):
        return False
    members = graph.component_of(number)
    if any(component[need] == inside for need in gone) and len(list(among(members, graph.needs))) > 1:
        return False
    return all(component[need] == inside or level[need] < level[number] - 1 for need in gone) or (
        depth_of(members, graph.needs, level) == level[number]
    )


def _reordered(graph: Graph, unsettled: Sequence[int]) -> Graph:
    """Components and levels anew of all that the unsettled ones, and whoever was in a cycle with them, carry."""
    start = {member for number in unsettled for member in graph.component_of(number)}
    affected = set(graph.reach(start, graph.dependants))
    component, level = list(graph.component), list(graph.level)
    members: dict[int, Numbers] = {first: each for first, each in graph.members.items() if first not in affected}
    for found in among(affected, graph.needs):
        first, depth = min(found), depth_of(found, graph.needs, level)
        for number in found:
            component[number], level[number] = first, depth
        if len(found) > 1:
            members[first] = tuple(sorted(found))
    places = list(graph.place)
    for number in affected:
        places[number] = place(level[number], component[number], number, len(places))
    return replace(graph, component=component, level=level, members=members, place=places)


def revised(graph: Graph, snapshot: Snapshot) -> Graph | None:
    """The graph with a source at another commit; None when so much is different that it is quicker built anew."""
    before = {graph.nodes[number].unit: graph.units[number] for number in _numbers(graph, snapshot)}
    changed = [unit for unit in snapshot.units if before.get(unit.path) != unit]
    if len(before) != len(snapshot.units) or len(changed) > MOST:
        return None
    try:
        for unit in changed:
            graph = exchanged(graph, snapshot.source, unit)
    except KeyError:
        return None
    return replace(graph, origins={**graph.origins, snapshot.source: snapshot.origin})


def _numbers(graph: Graph, snapshot: Snapshot) -> range:
    first = bisect_left(graph.nodes, (snapshot.source,))
    last = bisect_left(graph.nodes, (f"{snapshot.source}\0",))
    return range(first, last)
