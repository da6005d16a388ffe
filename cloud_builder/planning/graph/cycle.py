"""Units that need each other to be built: in which rounds they are, and with which build profiles they begin.

The members of a cycle are built with what of them is published; then again one after the other, each with the newest
of the others, until a round makes what it was made with: its input keys are those of the round before, so it costs
nothing. `rounds` bounds it. Only the last round is published.

At the start of the world nothing is published. Then members are built without what is missing, when their own
relations say that they can be: `libfoo-dev <!nocheck>` is not needed with the build profile `nocheck`
(https://wiki.debian.org/BuildProfileSpec). The profiles that cost least are tried first, and only those members get
them that must; the rounds after the first are built without. When no profile breaks the cycle, there is no way in: its
members cannot be built, nor what needs them, until one of them is published or offers such a profile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cloud_builder.errors import Rejected
from cloud_builder.model.text import first_few
from cloud_builder.planning.relations import Alternative, groups, offered_profiles

from .graph import Graph
from .resolve import DependencyResolver, Numbers
from .scc import among, strongly_connected

DEFAULT_ROUNDS = 3
_HARMLESS = ("nocheck", "nodoc", "noinsttest")
"""Leave tests and manuals out, and change nothing that others are built with."""
_NEVER = frozenset({"cross"})
"""Says how a build is done, and is no wish."""
CYCLE_CODE = "dependency-cycle"
"""Of what cannot be built because it is in a cycle without a way in, and of a request of nothing else."""
_MANY = 64
"""In a cycle of more members it is not tried for each profile, and not for each member, whether it can be spared."""

IsPublished = Callable[[str, Alternative], bool]
"""Whether a binary package is published for a target in a version that fits: (target name, what is asked for)."""
Profiles = tuple[str, ...]


@dataclass(frozen=True)
class Cycle:
    """Nodes by their number. `order`: that of each round. In the first one a member waits only for those in `first`.

    `profiles`: of members that are built without something in the first round."""

    members: Numbers
    order: Sequence[int]
    first: Mapping[int, Collection[int]]
    profiles: Mapping[int, Profiles]
    rounds: int

    @cached_property
    def _places(self) -> Mapping[int, int]:
        return {number: place for place, number in enumerate(self.order)}

    def is_before(self, one: int, other: int) -> bool:
        """Which of two members is built first in a round."""
        return self._places[one] < self._places[other]


@dataclass(frozen=True)
class UnbreakableCycle:
    """A cycle without a way in. Nodes by their number. `circles`: of its members, those that wait for each other."""

    members: Numbers
    deadlocks: Sequence[Numbers]

    def circle_of(self, number: int) -> Numbers:
        """The circle that it is in; empty: it needs one."""
        return next((circle for circle in self.deadlocks if number in circle), ())

    def why(self, graph: Graph, circle: Numbers) -> Rejected:
        names = [str(graph.nodes[number].unit) for number in circle]
        return Rejected(
            f"units build-depend on each other, and nothing of them is published: {first_few(names)}",
            code=CYCLE_CODE,
            hint="mark what a first build can do without, as in Build-Depends: name <!stage1> (build profiles), or take"
            " one Build-Depends out until one of them is published once",
        )


def cycles(
    graph: Graph, chosen: Collection[int], is_published: IsPublished, rounds: int = DEFAULT_ROUNDS
) -> Iterator[Cycle | UnbreakableCycle]:
    """The cycles among the chosen nodes."""
    inside: dict[int, list[int]] = defaultdict(list)
    for number in chosen:
        if graph.component[number] in graph.members:
            inside[graph.component[number]].append(number)
    for component, found in sorted(inside.items()):
        whole = len(found) == len(graph.members[component])
        for members in [graph.members[component]] if whole else among(found, graph.needs):
            if len(members) > 1:
                yield _Breaker(graph, frozenset(members), is_published).cycle(rounds)


def buildable_nodes(
    graph: Graph,
    meant: Collection[int],
    named: Collection[int],
    start: Iterable[int],
    closed: Sequence[UnbreakableCycle],
) -> set[int]:
    """Of what a request means: what can be built, with what that needs, and what cannot; not what only that needs.

    `start`: the named nodes, with their dependants if those were asked for. Raises Rejected(code="dependency-cycle")
    when nothing that is named can be built."""
    doomed = _reached({number for each in closed for number in each.members}, graph.dependants, meant)
    if doomed.issuperset(named):
        needed = graph.transitive_needs(named)
        cause = next((each for each in closed if not needed.isdisjoint(each.members)), closed[0])
        raise cause.why(graph, cause.deadlocks[0])
    return graph.transitive_needs(number for number in start if number not in doomed) | doomed


def _reached(start: Iterable[int], edges: Sequence[Collection[int]], inside: Collection[int]) -> set[int]:
    """`start`, and what can be reached from it without leaving `inside`."""
    found = set(start)
    todo = list(found)
    while todo:
        fresh = {other for other in edges[todo.pop()] if other in inside} - found
        found |= fresh
        todo += fresh
    return found


@dataclass(frozen=True)
class _Breaker:
    graph: Graph
    members: frozenset[int]
    is_published: IsPublished

    def cycle(self, rounds: int) -> Cycle | UnbreakableCycle:
        profiles: dict[int, Profiles] = {}
        circles: list[Numbers] = []
        for stuck in self._stuck(self.members, profiles):
            given, left = self._broken(stuck)
            profiles.update(given)
            circles += map(tuple, left)
        if circles:
            return UnbreakableCycle(tuple(sorted(self.members)), circles)
        first = {number: self._missing(number, profiles.get(number, ())) for number in self.members}
        order = [number for found in self._components(self.members, first) for number in found]
        return Cycle(tuple(sorted(self.members)), order, first, profiles, max(rounds, 2 if profiles else 1))

    def _missing(self, number: int, profiles: Profiles) -> frozenset[int]:
        """The members that it needs with these profiles, and of which what it needs is not published."""
        graph = self.graph
        unit, target, source = graph.units[number], graph.targets[number], graph.nodes[number].source
        resolver = DependencyResolver(graph.nodes, graph.number, graph.providers, graph.units)
        found: set[int] = set()
        for group in groups(unit.build_depends, target.arch, profiles):
            taken, meant = resolver.resolve(group, source, target.name)
            if taken is not None and not self.is_published(target.name, taken):
                found.update(meant)
        for other in resolver.explicit_needs(number, unit):
            if not any(self.is_published(target.name, Alternative(name)) for name in graph.units[other].provides):
                found.add(other)
        return frozenset(found & self.members - {number})

    def _components(self, numbers: Collection[int], edges: Mapping[int, Collection[int]]) -> list[list[int]]:
        ordered = sorted(numbers)
        place = {number: n for n, number in enumerate(ordered)}
        inner = [sorted(place[other] for other in edges[number] if other in place) for number in ordered]
        return [[ordered[n] for n in found] for found in strongly_connected(inner)]

    def _stuck(self, numbers: Collection[int], profiles: Mapping[int, Profiles]) -> list[list[int]]:
        """Those that wait for each other in the first round."""
        missing = {number: self._missing(number, profiles.get(number, ())) for number in numbers}
        return [sorted(found) for found in self._components(numbers, missing) if len(found) > 1]

    def _broken(self, stuck: Sequence[int]) -> tuple[dict[int, Profiles], list[list[int]]]:
        """The profiles that free them, for as few as will do; and those that wait for each other all the same."""
        given: dict[int, Profiles] = {}
        for profiles in _candidates([self.graph.units[number].build_depends for number in stuck]):
            given = {number: profiles for number in stuck if self._is_eased(number, profiles)}
            if given and not self._stuck(stuck, given):
                return self._fewest(stuck, given), []
        return given, self._stuck(stuck, given)

    def _fewest(self, stuck: Sequence[int], given: dict[int, Profiles]) -> dict[int, Profiles]:
        for number in sorted(given) if len(given) <= _MANY else ():
            fewer = {other: each for other, each in given.items() if other != number}
            given = given if self._stuck(stuck, fewer) else fewer
        return given

    def _is_eased(self, number: int, profiles: Profiles) -> bool:
        return self._missing(number, profiles) < self._missing(number, ())


def _candidates(relations: Sequence[str]) -> Iterator[Profiles]:
    """Sets of the profiles that these relations know, the cheapest first: each alone, then ever more of them. Of many
    units only the harmless ones together, and all."""
    offered = {profile for each in relations for profile in offered_profiles(each)} - _NEVER
    harmless = [profile for profile in _HARMLESS if profile in offered]
    known = harmless + sorted(offered - set(_HARMLESS))
    if len(relations) > _MANY:
        yield from (tuple(sorted(each)) for each in (harmless, known))
        return
    yield from ((profile,) for profile in known)
    yield from (tuple(sorted(known[:count])) for count in range(2, len(known) + 1))
