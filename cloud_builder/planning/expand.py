"""From an accepted request and the snapshot of its source to jobs with an order.

A request names units. What they build-depend on in the same snapshot is drawn in, too: when nothing of it changed, its
input keys are known and it costs nothing. A push also draws in what depends on the changed units.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from cloud_builder.errors import Rejected
from cloud_builder.model.events import RequestAccepted
from cloud_builder.model.ids import JobId, UnitPath, job_id
from cloud_builder.model.outcome import Kind
from cloud_builder.model.unit import Target, Unit

from .records import JobRecord
from .relations import needed

Node = tuple[UnitPath, str]
"""A unit and the name of one of its targets."""


@dataclass(frozen=True)
class Graph:
    """Units × targets of one snapshot, and which of them each one needs."""

    units: Mapping[Node, tuple[Unit, Target]]
    needs: Mapping[Node, frozenset[Node]]

    def dependants(self) -> dict[Node, set[Node]]:
        reverse: dict[Node, set[Node]] = defaultdict(set)
        for node, needs in self.needs.items():
            for need in needs:
                reverse[need].add(node)
        return reverse


def graph(units: Iterable[Unit]) -> Graph:
    """Edges from Build-Depends to the units that provide the names, and from `depends` of the manifest."""
    nodes = {(unit.path, target.name): (unit, target) for unit in units for target in unit.targets}
    providers: dict[tuple[str, str], set[Node]] = defaultdict(set)
    for node, (unit, target) in nodes.items():
        for name in unit.provides:
            providers[name, target.name].add(node)
    needs = {}
    for node, (unit, target) in nodes.items():
        found = {(path, target.name) for path in unit.depends}
        for group in needed(unit.build_depends, target.arch):
            for name in group:
                found |= providers.get((name, target.name), set())
        needs[node] = frozenset(found & nodes.keys()) - {node}
    return Graph(nodes, needs)


def reachable(start: Iterable[Node], edges: Mapping[Node, Iterable[Node]]) -> set[Node]:
    seen: set[Node] = set()
    todo = list(start)
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            todo.extend(edges.get(node, ()))
    return seen


def chosen(request: RequestAccepted, graph: Graph) -> set[Node]:
    """What the request means: its units and targets, their dependants if asked, and all that these need."""
    units, targets = frozenset(request.units), frozenset(request.targets)
    wanted = {node for node in graph.units if node[0] in units and (not targets or node[1] in targets)}
    if request.dependants:
        wanted = reachable(wanted, graph.dependants())
    return reachable(wanted, graph.needs)


def in_order(nodes: set[Node], graph: Graph) -> list[Node]:
    """Every node after what it needs; otherwise by name, so that the plan is a function of its inputs.

    Raises Rejected(code="dependency-cycle") that names the members."""
    sorter = TopologicalSorter({node: graph.needs[node] & nodes for node in sorted(nodes)})
    try:
        sorter.prepare()
    except CycleError as error:
        names = " → ".join(path for path, _ in reversed(error.args[1]))
        raise Rejected(
            f"units build-depend on each other: {names}",
            code="dependency-cycle",
            hint="take one Build-Depends out, or move what both need into a unit of its own",
        ) from None
    order: list[Node] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order.extend(ready)
        sorter.done(*ready)
    return order


def expand(request: RequestAccepted, url: str, units: Sequence[Unit], sequence: int) -> list[JobRecord]:
    """The jobs of a request, each after those it needs.

    Raises Rejected for a dependency cycle, and when nothing of the snapshot is meant."""
    whole = graph(units)
    order = in_order(chosen(request, whole), whole)
    if not order:
        raise Rejected(
            f"nothing to build: none of {_some(request.units)} is in {request.source} at {request.revision[:10]}",
            code="nothing-to-build",
            hint="cb-ctl list units shows what can be built",
        )
    ids = {node: job_id(request.request_id, number) for number, node in enumerate(order, 1)}
    return [
        _job(
            request,
            url,
            *whole.units[node],
            number=number,
            sequence=sequence,
            needs=tuple(sorted(ids[need] for need in whole.needs[node])),
        )
        for number, node in enumerate(order, 1)
    ]


def _some(units: Sequence[UnitPath]) -> str:
    """The first few of perhaps very many."""
    return ", ".join(units[:5]) + (f" and {len(units) - 5} more" if len(units) > 5 else "")


def _job(
    request: RequestAccepted,
    url: str,
    unit: Unit,
    target: Target,
    *,
    number: int,
    sequence: int,
    needs: tuple[JobId, ...],
) -> JobRecord:
    return JobRecord(
        job_id=job_id(request.request_id, number),
        request_id=request.request_id,
        number=number,
        sequence=sequence,
        needs=needs,
        source=request.source,
        url=url,
        revision=request.revision,
        unit=unit.path,
        directory=unit.directory,
        name=unit.name,
        kind=unit.kind,
        tree=unit.tree,
        target=target,
        provides=unit.provides,
        build_depends=unit.build_depends,
        buildroot=unit.buildroot,
        repositories=unit.repositories,
        publish=request.publish and unit.kind is Kind.PACKAGE,
    )
