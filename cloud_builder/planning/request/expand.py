"""From an accepted request and the graph over all sources to jobs with an order.

A request names units of one source. What these need in their own source is drawn in, too: when nothing of it changed,
its input keys are known and it costs nothing. With `dependants` (a push) so is all that needs them, in whatever source,
as that source's followed branch is now. Members of a dependency cycle become one job a round (see `cycle`).

What is in a cycle without a way in becomes a job that has failed already, with the cause; what needs it is skipped in
the usual manner. A request that names nothing else is rejected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloud_builder.errors import Rejected
from cloud_builder.model.events import RequestAccepted
from cloud_builder.model.ids import JobId, job_id
from cloud_builder.model.outcome import JobState, Kind, Outcome
from cloud_builder.model.text import first_few
from cloud_builder.planning.graph.cycle import (
    DEFAULT_ROUNDS,
    Cycle,
    IsPublished,
    UnbreakableCycle,
    buildable_nodes,
    cycles,
)
from cloud_builder.planning.graph.graph import Graph, Node
from cloud_builder.planning.records import JobRecord

DEFAULT_SECONDS = 60.0
"""Seconds that a job is taken to last when none of its request was ever built."""

Cycles = Mapping[int, Cycle | UnbreakableCycle]
"""By the number of each member."""

NodeRound = tuple[int, int]
"""A node's number, and the round (0: it is in no cycle)."""


@dataclass(frozen=True)
class BuildHistory:
    """What is known from before. `expected`: seconds the node's last build took, 0 for never built."""

    is_published: IsPublished = field(default=lambda target, wanted: False)
    expected: Callable[[Node], float] = field(default=lambda node: 0.0)


def requested_nodes(request: RequestAccepted, graph: Graph) -> list[int]:
    """The nodes that the request names."""
    return graph.units_for(request.source, request.units, request.targets)


def selected_nodes(request: RequestAccepted, graph: Graph) -> set[int]:
    """What the request means: what it names, the dependants of that if asked, and all that these need."""
    named = requested_nodes(request, graph)
    return graph.transitive_needs(graph.reachable(named, graph.dependants) if request.dependants else named)


def expand(
    request: RequestAccepted,
    graph: Graph,
    sequence: int,
    past: BuildHistory | None = None,
    *,
    rounds: int = DEFAULT_ROUNDS,
) -> list[JobRecord]:
    """The jobs of a request, each after those it needs. `rounds`: most of a dependency cycle.

    Raises Rejected when nothing of the snapshot is meant, or nothing that is named can be built because of a cycle."""
    past = past or BuildHistory()
    meant = selected_nodes(request, graph)
    if not meant:
        raise _nothing(request)
    found = {number: each for each in cycles(graph, meant, past.is_published, rounds) for number in each.members}
    named = set(requested_nodes(request, graph))
    if closed := [each for each in found.values() if isinstance(each, UnbreakableCycle)]:
        start = graph.reachable(named, graph.dependants) if request.dependants else named
        meant = buildable_nodes(graph, meant, named, start, closed)
    places = list(_places(graph.topological_order(meant), found))
    ids = {place: job_id(request.request_id, number) for number, place in enumerate(places, 1)}
    jobs = [
        _job(
            request,
            graph,
            number,
            job_id=ids[number, turn],
            number=position,
            sequence=sequence,
            needs=tuple(ids[need] for need in sorted(_needs(graph, (number, turn), meant, found))),
            is_requested=number in named,
            expected_seconds=past.expected(graph.nodes[number]),
            **_in_cycle(graph, found.get(number), number, turn),
        )
        for position, (number, turn) in enumerate(places, 1)
    ]
    ahead = critical_paths(jobs)
    return [job.model_copy(update={"critical_path": ahead[job.job_id]}) for job in jobs]


def critical_paths(jobs: Sequence[JobRecord]) -> dict[JobId, float]:
    """Of each job, the seconds from its start to the end of the longest chain that waits for it. Needs come first.

    A job that was never built is taken to last as long as the others do in the middle."""
    known = [job.expected_seconds for job in jobs if job.expected_seconds]
    middle = sum(known) / len(known) if known else DEFAULT_SECONDS
    behind = {job.job_id: 0.0 for job in jobs}
    found = {}
    for job in reversed(jobs):
        found[job.job_id] = path = (job.expected_seconds or middle) + behind[job.job_id]
        for need in job.needs:
            behind[need] = max(behind[need], path)
    return found


def _places(order: Iterable[int], found: Cycles) -> Iterator[NodeRound]:
    """Each node once, the members of a cycle round by round where the first of them stands."""
    done: set[int] = set()
    for number in order:
        cycle = found.get(number)
        if cycle is None:
            yield number, 0
        elif number not in done:
            done.update(cycle.members)
            if isinstance(cycle, UnbreakableCycle):
                yield from ((member, 0) for member in sorted(cycle.members, key=lambda one: not cycle.circle_of(one)))
            else:
                yield from ((member, turn) for turn in range(1, cycle.rounds + 1) for member in cycle.order)


def _needs(graph: Graph, place: NodeRound, meant: set[int], found: Cycles) -> set[NodeRound]:
    number, turn = place
    own = found.get(number)
    if isinstance(own, UnbreakableCycle):
        return set() if own.circle_of(number) else {(need, 0) for circle in own.deadlocks for need in circle}
    needs: set[NodeRound] = set()
    for need in graph.needs[number]:
        other = found.get(need)
        if need not in meant:
            continue
        if other is None or isinstance(other, UnbreakableCycle):
            needs.add((need, 0))
        elif other is not own:
            needs.add((need, other.rounds))
        elif turn > 1:
            needs.add((need, turn if own.is_before(need, number) else turn - 1))
    if own is not None and turn == 1:
        needs |= {(need, 1) for need in own.first[number]}
    return needs


def _in_cycle(graph: Graph, cycle: Cycle | UnbreakableCycle | None, number: int, turn: int) -> dict[str, object]:
    """Only the last round is published: what comes before it was built with what will be replaced."""
    if cycle is None:
        return {}
    if isinstance(cycle, UnbreakableCycle):
        circle = cycle.circle_of(number)
        return _failed(cycle.why(graph, circle)) if circle else {}
    first = {"profiles": cycle.profiles.get(number, ())} if turn == 1 else {}
    return {"round": turn, **first, **({} if turn == cycle.rounds else {"publish": False})}


def _failed(why: Rejected) -> dict[str, object]:
    """The recipes say so: it is not tried, and not tried again by itself."""
    told = {"code": why.code, "message": why.message, "hint": why.hint}
    return {"state": JobState.FINISHED, "outcome": Outcome.FAILURE, "publish": False, **told}


def _job(request: RequestAccepted, graph: Graph, node_number: int, /, **more: Any) -> JobRecord:
    """The job of a node; `more`: what the request makes of it."""
    node, unit = graph.nodes[node_number], graph.units[node_number]
    own = node.source == request.source
    told = {"publish": request.publish and unit.kind is Kind.PACKAGE, **more}
    return JobRecord.construct_unchecked(
        request_id=request.request_id,
        source=node.source,
        requester=request.requester,
        url=graph.origins[node.source].url,
        revision=request.revision if own else graph.origins[node.source].revision,
        unit=unit.path,
        directory=unit.directory,
        name=unit.name,
        kind=unit.kind,
        tree=unit.tree,
        target=graph.targets[node_number],
        provides=unit.provides,
        build_depends=unit.build_depends,
        buildroot=unit.buildroot,
        repositories=unit.repositories,
        priority=request.priority,
        constraints=unit.constraints,
        **told,
    )


def _nothing(request: RequestAccepted) -> Rejected:
    return Rejected(
        f"nothing to build: none of {first_few(request.units, 5)} is in {request.source} at {request.revision[:10]}",
        code="nothing-to-build",
        hint="cb-ctl list units shows what can be built",
    )
