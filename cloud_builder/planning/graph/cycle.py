"""Dependency cycles: the rounds in which the members are built, and the build profiles of the first round.

The members of a cycle are built with the published packages of the others. Then they are built again one after the
other, each with the newest packages of the others. This ends when a round makes the same packages as the round before:
then the input keys of the next round are known, and it costs nothing. `rounds` limits it. Only the last round is
published.

When a cycle is built for the first time, none of its members is published (bootstrap). Then members are built without
the missing packages, if their relations allow it: with the build profile `nocheck`, `libfoo-dev <!nocheck>` is not
needed (https://wiki.debian.org/BuildProfileSpec). The profiles that cost least are tried first, and only the members
that must be built with them get them. The rounds after the first are built without profiles.

If no build profile breaks a deadlock, it begins with the packages that the distribution has: the members are ordered so
that few of them are built without another one. Whether the distribution has a package is known to the package manager
in the build root: a member that it cannot serve is a failure (`dependency-cycle`), and the units that need it are not
built.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush

from cloud_builder.planning.relations import Alternative, offered_profiles

from .graph import Graph
from .scc import components_among, strongly_connected
from .unit_edges import Numbers

DEFAULT_ROUNDS = 3
_HARMLESS = ("nocheck", "nodoc", "noinsttest")
"""Profiles that leave out tests and manuals, and change nothing that other units are built with."""
_NEVER = frozenset({"cross"})
"""A profile that describes how a build is done; a build does not choose it."""
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
    substituted: Mapping[int, Collection[int]]
    """The members that a member is built without in the first round: with the distribution's packages instead."""
    rounds: int

    @cached_property
    def _positions(self) -> Mapping[int, int]:
        return {number: position for position, number in enumerate(self.order)}

    def is_before(self, first: int, second: int) -> bool:
        """True when the first member is built before the second one in a round."""
        return self._positions[first] < self._positions[second]


def cycles(
    graph: Graph, selected: Collection[int], is_published: IsPublished, rounds: int = DEFAULT_ROUNDS
) -> Iterator[Cycle]:
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


@dataclass(frozen=True)
class _Breaker:
    """Finds the build profiles that break one cycle."""

    graph: Graph
    members: frozenset[int]
    is_published: IsPublished

    def cycle(self, rounds: int) -> Cycle:
        profiles: dict[int, Profiles] = {}
        substituted: dict[int, frozenset[int]] = {}
        for deadlock in self._deadlocks(self.members, profiles):
            chosen = self._break(deadlock)
            profiles.update(chosen)
            if not chosen:
                missing = {number: self._missing(number, ()).intersection(deadlock) for number in deadlock}
                substituted |= _substituted(missing)
        first = {
            number: self._missing(number, profiles.get(number, ())) - substituted.get(number, frozenset())
            for number in self.members
        }
        order = [number for component in self._components(self.members, first) for number in component]
        is_bootstrap = bool(profiles or substituted)
        return Cycle(
            tuple(sorted(self.members)), order, first, profiles, substituted, max(rounds, 2 if is_bootstrap else 1)
        )

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

    def _break(self, deadlock: Sequence[int]) -> dict[int, Profiles]:
        """Returns the profiles that break a deadlock, for as few members as possible; empty: none do."""
        for profiles in _candidates([self.graph.units[number].build_depends for number in deadlock]):
            chosen = {number: profiles for number in deadlock if self._needs_less(number, profiles)}
            if chosen and not self._deadlocks(deadlock, chosen):
                return self._for_fewest_members(deadlock, chosen)
        return {}

    def _for_fewest_members(self, deadlock: Sequence[int], chosen: dict[int, Profiles]) -> dict[int, Profiles]:
        for number in sorted(chosen) if len(chosen) <= _MAX_EXHAUSTIVE else ():
            fewer = {member: profiles for member, profiles in chosen.items() if member != number}
            chosen = chosen if self._deadlocks(deadlock, fewer) else fewer
        return chosen

    def _needs_less(self, number: int, profiles: Profiles) -> bool:
        return self._missing(number, profiles) < self._missing(number, ())


def _substituted(missing: Mapping[int, Collection[int]]) -> dict[int, frozenset[int]]:
    """Returns for members of a deadlock what they are built without, so that none waits for itself.

    `missing`: the other members that each needs. The members that are built without the fewest come first; those after
    them use what is built by then."""
    left = {number: set(needs) for number, needs in missing.items()}
    dependants: dict[int, list[int]] = defaultdict(list)
    for number, needs in missing.items():
        for need in needs:
            dependants[need].append(number)
    found: dict[int, frozenset[int]] = {}
    todo = [(len(needs), number) for number, needs in left.items()]
    heapify(todo)
    while todo:
        count, number = heappop(todo)
        if number in found or count != len(left[number]):
            continue
        found[number] = frozenset(left[number])
        for dependant in dependants[number]:
            if dependant not in found:
                left[dependant].discard(number)
                heappush(todo, (len(left[dependant]), dependant))
    return found


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
