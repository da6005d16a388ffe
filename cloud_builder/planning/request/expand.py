"""Expands an accepted request to jobs: request + graph over all sources → jobs, each after its needs.

- A request names units of one source. The units that these need in their own source become jobs, too: if they have not
  changed, their input keys are known, and they cost nothing.
- With `dependants` (a push) all units that need them become jobs, in every source, at the head of that source's
  followed branch.
- What was built with the packages of deleted units becomes a job, too: it uses the distribution's now, or fails.
- A member of a dependency cycle becomes one job a round (see `graph/cycle.py`).
- A broken unit, which cannot be read at the request's commit, becomes a job that has already failed, with its problems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloud_builder.errors import Rejected
from cloud_builder.model.events import RequestAccepted
from cloud_builder.model.ids import JobId, new_job_id
from cloud_builder.model.outcome import JobState, Kind, Outcome
from cloud_builder.model.text import first_few
from cloud_builder.model.unit import Unit, hints
from cloud_builder.planning.graph.cycle import (
    DEFAULT_ROUNDS,
    Cycle,
    IsPublished,
    cycles,
)
from cloud_builder.planning.graph.graph import Graph, Node
from cloud_builder.planning.records import JobRecord

DEFAULT_SECONDS = 60.0
"""Seconds that a job is expected to take when no job of its request was ever built."""

BROKEN_UNIT = "broken-unit"
"""The code of a job that failed because its unit cannot be read."""
_MAX_PROBLEMS = 5
"""Problems of a broken unit in the message of its job."""

NOTHING_BUILT_WITH_DELETED = "nothing-built-with-deleted"
"""Code of a request that only deletes units that no other unit builds with. It is a success without jobs."""

Cycles = Mapping[int, Cycle]
"""Number of each member → its cycle."""

NodeRound = tuple[int, int]
"""A node's number, and the round (0: the node is in no cycle)."""


@dataclass(frozen=True)
class BuildHistory:
    """Lookups of earlier builds."""

    is_published: IsPublished = field(default=lambda target, alternative: False)
    expected: Callable[[Node], float] = field(default=lambda node: 0.0)
    """Seconds that the node's last build took; 0: never built."""


def requested_nodes(request: RequestAccepted, graph: Graph) -> list[int]:
    """Returns the nodes that the request names, and those that were built with packages of deleted units."""
    named = graph.units_for(request.source, request.units, request.targets)
    return sorted({*named, *_built_with_deleted(request, graph)}) if request.deleted else named


def _built_with_deleted(request: RequestAccepted, graph: Graph) -> Iterator[int]:
    """Yields the nodes that name a package of a deleted unit which no other unit provides for their target."""
    for name in sorted({name for unit in request.deleted for name in unit.provides}):
        for number in graph.mentions.get(name, ()):
            target = graph.targets[number].name
            is_provided = name in graph.providers.get(target, {})
            if not is_provided and (not request.targets or target in request.targets):
                yield number


def selected_nodes(request: RequestAccepted, graph: Graph) -> set[int]:
    """Returns the requested nodes, their dependants if the request asks for them, and all needs of these."""
    requested = requested_nodes(request, graph)
    return graph.transitive_needs(graph.transitive_dependants(requested) if request.dependants else requested)


def expand(
    request: RequestAccepted,
    graph: Graph,
    sequence: int,
    history: BuildHistory | None = None,
    *,
    rounds: int = DEFAULT_ROUNDS,
) -> list[JobRecord]:
    """Returns the jobs of a request, each after its needs. `rounds`: at most for a dependency cycle.

    Raises Rejected when the snapshot has no unit that the request names."""
    history = history or BuildHistory()
    selected = selected_nodes(request, graph)
    if not selected:
        raise _nothing_to_build(request)
    by_member = {
        number: cycle for cycle in cycles(graph, selected, history.is_published, rounds) for number in cycle.members
    }
    requested = set(requested_nodes(request, graph))
    node_rounds = list(_node_rounds(graph.topological_order(selected), by_member))
    ids = {node_round: new_job_id(request.request_id, number) for number, node_round in enumerate(node_rounds, 1)}
    jobs = [
        _job(
            request,
            graph,
            node,
            job_id=ids[node, round_number],
            number=position,
            sequence=sequence,
            needs=tuple(ids[need] for need in sorted(_needs(graph, (node, round_number), selected, by_member))),
            is_requested=node in requested,
            expected_seconds=history.expected(graph.nodes[node]),
            **{
                **_cycle_fields(graph, by_member.get(node), node, round_number),
                **_broken_fields(graph.units[node]),
            },
        )
        for position, (node, round_number) in enumerate(node_rounds, 1)
    ]
    paths = critical_paths(jobs)
    return [job.model_copy(update={"critical_path": paths[job.job_id]}) for job in jobs]


def critical_paths(jobs: Sequence[JobRecord]) -> dict[JobId, float]:
    """Returns the seconds from the start of each job to the end of the longest chain of jobs that wait for it.

    `jobs`: each after its needs. A job that was never built is expected to take the mean of the others."""
    durations = [job.expected_seconds for job in jobs if job.expected_seconds]
    mean = sum(durations) / len(durations) if durations else DEFAULT_SECONDS
    after_end = {job.job_id: 0.0 for job in jobs}
    paths = {}
    for job in reversed(jobs):
        paths[job.job_id] = path = (job.expected_seconds or mean) + after_end[job.job_id]
        for need in job.needs:
            after_end[need] = max(after_end[need], path)
    return paths


def _node_rounds(order: Iterable[int], by_member: Cycles) -> Iterator[NodeRound]:
    """Yields each node once, and the members of a cycle round by round at the position of the first member."""
    done: set[int] = set()
    for number in order:
        cycle = by_member.get(number)
        if cycle is None:
            yield number, 0
        elif number not in done:
            done.update(cycle.members)
            yield from ((member, turn) for turn in range(1, cycle.rounds + 1) for member in cycle.order)


def _needs(graph: Graph, node_round: NodeRound, selected: set[int], by_member: Cycles) -> set[NodeRound]:
    number, round_number = node_round
    own = by_member.get(number)
    needs: set[NodeRound] = set()
    for need in graph.needs[number]:
        cycle = by_member.get(need)
        if need not in selected:
            continue
        if cycle is None:
            needs.add((need, 0))
        elif cycle is not own:
            needs.add((need, cycle.rounds))
        elif round_number > 1:
            needs.add((need, round_number if own.is_before(need, number) else round_number - 1))
    if own is not None and round_number == 1:
        needs |= {(need, 1) for need in own.first[number]}
    return needs


def _cycle_fields(graph: Graph, cycle: Cycle | None, number: int, round_number: int) -> dict[str, object]:
    """Returns the fields of a job that follow from its cycle.

    Only the last round is published: the rounds before it are built with packages that will be replaced."""
    if cycle is None:
        return {}
    first: dict[str, object] = {}
    if round_number == 1:
        substituted = sorted(graph.nodes[member].unit for member in cycle.substituted.get(number, ()))
        first = {"cycle_profiles": cycle.profiles.get(number, ()), "substituted": tuple(substituted)}
    return {"round": round_number, **first, **({} if round_number == cycle.rounds else {"publish": False})}


def _broken_fields(unit: Unit) -> dict[str, object]:
    """Returns the fields of a broken unit's job: it has failed."""
    if not unit.problems:
        return {}
    shown = unit.problems[:_MAX_PROBLEMS]
    message = "\n".join(str(problem.model_copy(update={"hint": ""})) for problem in shown)
    details = {"code": BROKEN_UNIT, "message": message, "hint": hints(shown)}
    return {"state": JobState.FINISHED, "outcome": Outcome.FAILURE, "publish": False, **details}


def _job(request: RequestAccepted, graph: Graph, node_number: int, /, **fields: Any) -> JobRecord:
    """Returns the job of a node. `fields`: the values that do not follow from the unit and the request."""
    node, unit = graph.nodes[node_number], graph.units[node_number]
    profiles, options = (request.profiles, request.build_options) if fields["is_requested"] else ((), ())
    is_own_source = node.source == request.source
    return JobRecord.construct_unchecked(
        request_id=request.request_id,
        source=node.source,
        requester=request.requester,
        url=graph.origins[node.source].url,
        revision=request.revision if is_own_source else graph.origins[node.source].revision,
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
        unverified=unit.unverified,
        priority=request.priority,
        constraints=unit.constraints,
        rebuild_suffix=graph.origins[node.source].rebuild_suffix,
        profiles=tuple(sorted({*unit.profiles, *profiles, *fields.get("cycle_profiles", ())})),
        build_options=tuple(sorted({*unit.build_options, *options})),
        is_forced=request.force and fields["is_requested"] and fields.get("round", 0) <= 1,
        **{"publish": request.publish and unit.kind is Kind.PACKAGE, **fields},
    )


def _nothing_to_build(request: RequestAccepted) -> Rejected:
    if request.deleted:
        paths = first_few([unit.path for unit in request.deleted], 5)
        return Rejected(f"no unit builds with packages of what was deleted: {paths}", code=NOTHING_BUILT_WITH_DELETED)
    return Rejected(
        f"nothing to build: none of {first_few(request.units, 5)} is in {request.source} at {request.revision[:10]}",
        code="nothing-to-build",
        hint="cb-ctl list units shows what can be built",
    )
