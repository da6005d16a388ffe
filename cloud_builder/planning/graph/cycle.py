"""Dependency cycles: the rounds in which the members are built, and the build profiles of the first round.

The members of a cycle are built with the published packages of the others. Then they are built again one after the
other, each with the newest packages of the others. This ends when a round makes the same packages as the round before:
then the input keys of the next round are known, and it costs nothing. `rounds` limits it. Only the last round is
published.

When a cycle is built for the first time, none of its members is published (bootstrap). Then members are built without
the missing packages, if their relations allow it: with the build profile `nocheck`, `libfoo-dev <!nocheck>` is not
needed (https://wiki.debian.org/BuildProfileSpec). The profiles that cost least are tried first, and only the members
that must be built with them get them. The rounds after the first are built without profiles.

If no build profile breaks the cycle, it is unbreakable: its members, and the units that need them, are not built
(`dependency-cycle`) until one member is published or offers such a profile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cloud_builder.errors import Rejected
from cloud_builder.model.text import first_few
from cloud_builder.planning.relations import Alternative, offered_profiles

from .graph import Graph
from .scc import components_among, strongly_connected
from .unit_edges import Numbers

DEFAULT_ROUNDS = 3
_HARMLESS = ("nocheck", "nodoc", "noinsttest")
"""Profiles that leave out tests and manuals, and change nothing that other units are built with."""
_NEVER = frozenset({"cross"})
"""A profile that describes how a build is done; a build does not choose it."""
CYCLE_CODE = "dependency-cycle"
"""Code of a job in an unbreakable cycle, and of a rejected request that names no other units."""
_MAX_EXHAUSTIVE = 64
"""Members. In a larger cycle not every profile is tried alone, and not every member is tried without its profiles."""

IsPublished = Callable[[str, Alternative], bool]
"""(target name, alternative) → True when a package that meets the alternative is published for the target."""
Profiles = tuple[str, ...]


@dataclass(frozen=True)
class Cycle:
    """A cycle that can be built. Nodes are given by their number."""

    members: Numbers
    order: Sequence[int]
    """The order of the members in each round."""
    first: Mapping[int, Collection[int]]
    """The members that a member waits for in the first round."""
    profiles: Mapping[int, Profiles]
    """The build profiles of members that are built without something in the first round."""
    rounds: int

    @cached_property
    def _positions(self) -> Mapping[int, int]:
        return {number: position for position, number in enumerate(self.order)}

    def is_before(self, first: int, second: int) -> bool:
        """True when the first member is built before the second one in a round."""
        return self._positions[first] < self._positions[second]


@dataclass(frozen=True)
class UnbreakableCycle:
    """A cycle that no build profile breaks. Nodes are given by their number."""

    members: Numbers
    deadlocks: Sequence[Numbers]
    """Groups of members that wait for each other in the first round."""

    def deadlock_of(self, number: int) -> Numbers:
        """Returns the deadlock that a member is in; empty: the member only needs a deadlock."""
        return next((deadlock for deadlock in self.deadlocks if number in deadlock), ())

    def rejection(self, graph: Graph, deadlock: Numbers) -> Rejected:
        """Returns the error that explains the deadlock and how to break it."""
        names = [str(graph.nodes[number].unit) for number in deadlock]
        return Rejected(
            f"units build-depend on each other, and none of them is published: {first_few(names)}",
            code=CYCLE_CODE,
            hint="mark a package that a first build does not need with a build profile (Build-Depends: name <!stage1>),"
            " or remove one Build-Depends until one of the units has been published once",
        )


def cycles(
    graph: Graph, selected: Collection[int], is_published: IsPublished, rounds: int = DEFAULT_ROUNDS
) -> Iterator[Cycle | UnbreakableCycle]:
    """Yields the cycles among the selected nodes."""
    by_component: dict[int, list[int]] = defaultdict(list)
    for number in selected:
        if len(graph.component_of(number)) > 1:
            by_component[graph.component[number]].append(number)
    for component, numbers in sorted(by_component.items()):
        whole = graph.component_of(component)
        for members in [whole] if len(numbers) == len(whole) else components_among(numbers, graph.needs):
            if len(members) > 1:
                yield _Breaker(graph, frozenset(members), is_published).cycle(rounds)


def buildable_nodes(
    graph: Graph,
    selected: Collection[int],
    requested: Collection[int],
    start: Iterable[int],
    unbreakable: Sequence[UnbreakableCycle],
) -> set[int]:
    """Returns the selected nodes without nodes that only unbuildable ones need.

    Unbuildable nodes themselves (in an unbreakable cycle, or in need of one) stay: they become failed or skipped jobs.
    `start`: the requested nodes, with their dependants if the request asks for them.

    Raises Rejected(code="dependency-cycle") when no requested node can be built."""
    in_cycles = {number for cycle in unbreakable for number in cycle.members}
    unbuildable = _reachable_within(selected, in_cycles, graph.dependants)
    if unbuildable.issuperset(requested):
        needs = graph.transitive_needs(requested)
        cause = next((cycle for cycle in unbreakable if not needs.isdisjoint(cycle.members)), unbreakable[0])
        raise cause.rejection(graph, cause.deadlocks[0])
    return graph.transitive_needs(number for number in start if number not in unbuildable) | unbuildable


def _reachable_within(inside: Collection[int], start: Iterable[int], edges: Sequence[Collection[int]]) -> set[int]:
    """Returns `start` and all nodes that can be reached from it without leaving `inside`."""
    reached = set(start)
    todo = list(reached)
    while todo:
        fresh = {node for node in edges[todo.pop()] if node in inside} - reached
        reached |= fresh
        todo += fresh
    return reached


@dataclass(frozen=True)
class _Breaker:
    """Finds the build profiles that break one cycle."""

    graph: Graph
    members: frozenset[int]
    is_published: IsPublished

    def cycle(self, rounds: int) -> Cycle | UnbreakableCycle:
        profiles: dict[int, Profiles] = {}
        deadlocks: list[Numbers] = []
        for deadlock in self._deadlocks(self.members, profiles):
            chosen, remaining = self._break(deadlock)
            profiles.update(chosen)
            deadlocks += map(tuple, remaining)
        if deadlocks:
            return UnbreakableCycle(tuple(sorted(self.members)), deadlocks)
        first = {number: self._missing(number, profiles.get(number, ())) for number in self.members}
        order = [number for component in self._components(self.members, first) for number in component]
        return Cycle(tuple(sorted(self.members)), order, first, profiles, max(rounds, 2 if profiles else 1))

    def _missing(self, number: int, profiles: Profiles) -> frozenset[int]:
        """Returns the members that a member needs with these profiles, and whose needed packages are not published."""
        graph = self.graph
        unit, target = graph.units[number], graph.targets[number]
        missing = {
            provider
            for _, alternative, providers in graph.resolutions(number, profiles)
            if alternative is not None and not self.is_published(target.name, alternative)
            for provider in providers
        }
        for need in graph.resolver().explicit_needs(number, unit):
            if not any(self.is_published(target.name, Alternative(name)) for name in graph.units[need].provides):
                missing.add(need)
        return frozenset(missing & self.members - {number})

    def _components(self, numbers: Collection[int], edges: Mapping[int, Collection[int]]) -> list[list[int]]:
        ordered = sorted(numbers)
        index = {number: n for n, number in enumerate(ordered)}
        inner = [sorted(index[need] for need in edges[number] if need in index) for number in ordered]
        return [[ordered[n] for n in component] for component in strongly_connected(inner)]

    def _deadlocks(self, numbers: Collection[int], profiles: Mapping[int, Profiles]) -> list[list[int]]:
        """Returns the groups of members that wait for each other in the first round with these profiles."""
        missing = {number: self._missing(number, profiles.get(number, ())) for number in numbers}
        return [sorted(component) for component in self._components(numbers, missing) if len(component) > 1]

    def _break(self, deadlock: Sequence[int]) -> tuple[dict[int, Profiles], list[list[int]]]:
        """Returns the profiles that break a deadlock, for as few members as possible, and the remaining deadlocks."""
        chosen: dict[int, Profiles] = {}
        for profiles in _candidates([self.graph.units[number].build_depends for number in deadlock]):
            chosen = {number: profiles for number in deadlock if self._needs_less(number, profiles)}
            if chosen and not self._deadlocks(deadlock, chosen):
                return self._for_fewest_members(deadlock, chosen), []
        return chosen, self._deadlocks(deadlock, chosen)

    def _for_fewest_members(self, deadlock: Sequence[int], chosen: dict[int, Profiles]) -> dict[int, Profiles]:
        for number in sorted(chosen) if len(chosen) <= _MAX_EXHAUSTIVE else ():
            fewer = {member: profiles for member, profiles in chosen.items() if member != number}
            chosen = chosen if self._deadlocks(deadlock, fewer) else fewer
        return chosen

    def _needs_less(self, number: int, profiles: Profiles) -> bool:
        return self._missing(number, profiles) < self._missing(number, ())


def _candidates(relations: Sequence[str]) -> Iterator[Profiles]:
    """Yields sets of the profiles that these relations offer, the cheapest first.

    First each profile alone, then more and more of them together. For more than `_MAX_EXHAUSTIVE` units only the
    harmless profiles together, and then all."""
    offered = {profile for field in relations for profile in offered_profiles(field)} - _NEVER
    harmless = [profile for profile in _HARMLESS if profile in offered]
    by_cost = harmless + sorted(offered - set(_HARMLESS))
    if len(relations) > _MAX_EXHAUSTIVE:
        yield from (tuple(sorted(profiles)) for profiles in (harmless, by_cost))
        return
    yield from ((profile,) for profile in by_cost)
    yield from (tuple(sorted(by_cost[:count])) for count in range(2, len(by_cost) + 1))
