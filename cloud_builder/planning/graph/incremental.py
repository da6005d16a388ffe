"""The graph after one unit was changed, from the graph before: the same as if it were built anew, in milliseconds.

Looked at again are the unit, those that name what it began or ceased to provide, and, only when the order cannot have
stayed as it was, those that depend on them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush

from cloud_builder.model.ids import SourceName
from cloud_builder.model.unit import Unit
from cloud_builder.planning.relations import groups

from .graph import Graph, SourceSnapshot, rank
from .resolve import DependencyResolver, Node
from .scc import among, level_of

MAX_CHANGED_UNITS = 200
"""Units: exchanging more takes as long as building the graph anew."""


def replace_unit(graph: Graph, source: SourceName, unit: Unit) -> Graph:
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
    mentions, versioned = dict(graph.mentions), dict(graph.versioned)
    for number in own:
        for index, with_version in ((mentions, False), (versioned, True)):
            old, new = _names(before, number, with_version), _names(graph, number, with_version)
            for name in old - new:
                index[name] -= {number}
                if not index[name]:
                    del index[name]
            for name in new - old:
                index[name] = index.get(name, frozenset()) | {number}
    return replace(graph, mentions=mentions, versioned=versioned)


def _names(graph: Graph, number: int, with_version: bool) -> set[str]:
    """What a unit's relations name, or only what they name with a version."""
    wanted = groups(graph.units[number].build_depends, graph.targets[number].arch)
    return {each.name for group in wanted for each in group if each.operator or not with_version}


def _looked_at_again(graph: Graph, old: Unit, unit: Unit) -> set[int]:
    """Whose needs may have changed because of what the unit provides, and in which version."""
    found: set[int] = set()
    for name in set(old.provides) ^ set(unit.provides):
        found |= graph.mentions.get(name, frozenset())
    for name in unit.provides if (old.version, old.virtual) != (unit.version, unit.virtual) else ():
        found |= graph.versioned.get(name, frozenset())
    return found


def _needed(graph: Graph, suspects: Iterable[int]) -> Graph:
    resolver = DependencyResolver(graph.nodes, graph.number, graph.providers, graph.units)
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
    return _reordered(after_all, graph, unsettled) if unsettled else after_all


def _is_settled(graph: Graph, before: Graph, number: int) -> bool:
    """True when these other needs neither open nor close a cycle, and lie no deeper and no less deep than before.

    What lies less deep than a node cannot depend on it."""
    level, component = graph.level, graph.component
    own = component[number]
    if any(component[need] != own for need in _closing(graph, before, number)):
        return False
    gone = set(before.needs[number]) - set(graph.needs[number])
    if any(component[need] == own for need in gone):
        return False
    deepest = any(level[need] == level[number] - 1 for need in gone)
    return not deepest or level_of(graph.component_of(number), graph.needs, level) == level[number]


def _closing(graph: Graph, before: Graph, number: int) -> set[int]:
    """New needs that may depend on it."""
    fresh = set(graph.needs[number]) - set(before.needs[number])
    return {need for need in fresh if graph.level[need] >= graph.level[number]}


def _reordered(graph: Graph, before: Graph, unsettled: Sequence[int]) -> Graph:
    """With other components where there may be others, and other levels wherever that makes a difference."""
    component, level, places = list(graph.component), list(graph.level), list(graph.rank)
    region = {member for number in unsettled for member in _circles(graph, before, number)}
    members = {first: each for first, each in graph.members.items() if first not in region}
    moved, lifted = set(), []
    for found in among(region, graph.needs):
        first, depth = min(found), level_of(found, graph.needs, level)
        moved |= {number for number in found if (component[number], level[number]) != (first, depth)}
        lifted += [number for number in found if level[number] != depth]
        for number in found:
            component[number], level[number] = first, depth
        if len(found) > 1:
            members[first] = tuple(sorted(found))
    after = replace(graph, component=component, level=level, members=members, rank=places)
    for number in moved | _levelled(after, level, lifted):
        places[number] = rank(level[number], component[number], number, len(places))
    return after


def _circles(graph: Graph, before: Graph, number: int) -> set[int]:
    """All that is, or was, in a cycle with it: its old component, and what lies between it and its new needs."""
    own = set(graph.component_of(number))
    closing = _closing(graph, before, number)
    above = {*graph.reachable([number], graph.dependants)} if closing else set()
    between: set[int] = set()
    todo = list(closing & above)
    while todo:
        fresh = {need for need in graph.needs[todo.pop()] if need in above} - between
        between |= fresh
        todo += fresh
    return own | between | (closing & above)


def _levelled(graph: Graph, level: list[int], lifted: Iterable[int]) -> set[int]:
    """Carries other levels upwards, in `level`, until they fit; the nodes that got another one."""
    moved: set[int] = set()
    todo = _above(graph, lifted)
    heapify(todo)
    waiting = set(todo)
    while todo:
        entry = heappop(todo)
        waiting.discard(entry)
        members = graph.members.get(entry[1], (entry[1],))
        depth = level_of(members, graph.needs, level)
        if depth != level[entry[1]]:
            moved.update(members)
            for number in members:
                level[number] = depth
            for other in _above(graph, members):
                if other not in waiting:
                    waiting.add(other)
                    heappush(todo, other)
    return moved


def _above(graph: Graph, numbers: Iterable[int]) -> list[tuple[int, int]]:
    """(level, component) of those that directly need one of these, and are in another component."""
    component, level = graph.component, graph.level
    found = {component[other] for number in numbers for other in graph.dependants[number]
             if component[other] != component[number]}  # fmt: skip
    return [(level[each], each) for each in found]


def update_source(graph: Graph, snapshot: SourceSnapshot) -> Graph | None:
    """The graph with a source at another commit; None when so much is different that it is quicker built anew."""
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
