"""Answers the view `graph`: each unit and target of all sources, its dependencies, and the state of its newest job.

Input: a unit (none: all of them), a direction and a depth. Output: pages of nodes, the nearest to the unit first.
The graph is built from the units of the read model at the first query, and cached until a source has another commit:
building it takes some seconds for all of Debian, and the next query takes no time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cloud_builder.errors import Rejected
from cloud_builder.model.ids import Revision, SourceName
from cloud_builder.model.unit import Unit
from cloud_builder.planning.graph.build import build_graph
from cloud_builder.planning.graph.graph import Graph, Node, Origin, SourceSnapshot
from cloud_builder.ports.state import Document, Documents

from . import find, history
from .pages import Row, page

Args = dict[str, Any]
Fingerprint = tuple[tuple[str, str, int], ...]
"""Each source with its commit and its number of units. A cached graph is used while this stays the same."""


@dataclass
class GraphCache:
    """The dependency graph of the newest commits, built when it is queried."""

    fingerprint: Fingerprint | None = None
    graph: Graph | None = None

    def get(self, state: Documents) -> Graph:
        current = tuple((key, str(body["revision"]), int(body["units"])) for key, body in state.find("source"))
        if self.graph is None or self.fingerprint != current:
            self.graph, self.fingerprint = build_graph(_snapshots(state)), current
        return self.graph


def _snapshots(state: Documents) -> Iterator[SourceSnapshot]:
    for key, source in state.find("source"):
        units = [Unit.model_validate(body) for _, body in state.find("unit", parent=key)]
        origin = Origin(str(source["url"]), Revision(str(source["revision"])))
        yield SourceSnapshot(SourceName(key), origin, units)


def view(cache: GraphCache, state: Documents, args: Args) -> dict[str, Any]:
    """Returns a page of nodes `{"node", "source", "unit", "target", "needs", "state", "job_id"}`.

    Beside the page: `total`, the number of all selected nodes, and `roots`, the nodes of the queried unit.
    Arguments: unit, source, target, reverse, depth (0: no limit).
    """
    graph = cache.get(state)
    roots = _roots(graph, args)
    reverse, depth = bool(args.get("reverse")), _number(args, "depth")
    order = (
        _nearest(graph, roots, reverse=reverse, depth=depth)
        if roots
        else graph.topological_order(_selected(graph, args))
    )
    rows = _rows(graph, _behind(graph, order, str(args.get("after") or "")), set(order), state)
    found = page(rows, {"most": args.get("most")})
    return {**found, "total": len(order), "roots": [_key(graph.nodes[number]) for number in roots]}


def _roots(graph: Graph, args: Args) -> list[int]:
    """Returns the nodes of a unit (`hello`, `packages/hello` or `demo:packages/hello`), for one target or for all."""
    name = str(args.get("unit") or "")
    if not name:
        return []
    source, _, path = name.rpartition(":")
    candidates = [
        (number, node)
        for number, node in enumerate(graph.nodes)
        if source in ("", node.source) and f"/{node.unit}".endswith(f"/{path}")
    ]
    if not candidates:
        raise find.missing("unit", name, {node.unit for node in graph.nodes})
    found = [number for number, node in candidates if args.get("target") in (None, "", node.target)]
    if not found:
        hint = f"It is built for {', '.join(sorted({node.target for _, node in candidates}))}."
        raise Rejected(f"{name} is not built for {args['target']}", code="not-found", hint=hint)
    return found


def _selected(graph: Graph, args: Args) -> list[int]:
    source, target = args.get("source"), args.get("target")
    return [
        number
        for number, node in enumerate(graph.nodes)
        if source in (None, "", node.source) and target in (None, "", node.target)
    ]


def _nearest(graph: Graph, roots: Iterable[int], *, reverse: bool, depth: int) -> list[int]:
    """Returns the roots and their dependencies (or dependants), the nearest first: the last page has the farthest."""
    edges: Sequence[Sequence[int]] = graph.dependants if reverse else graph.needs
    order = sorted(roots)
    seen, edge, steps = set(order), order, 0
    while edge and (not depth or steps < depth):
        edge = sorted({neighbour for number in edge for neighbour in edges[number]} - seen)
        order += edge
        seen.update(edge)
        steps += 1
    return order


def _behind(graph: Graph, order: Sequence[int], after: str) -> Sequence[int]:
    """Returns the nodes behind the one with this key; all of them if there is no such node (any more)."""
    for position, number in enumerate(order) if after else ():
        if _key(graph.nodes[number]) == after:
            return order[position + 1 :]
    return order


def _rows(graph: Graph, order: Iterable[int], shown: set[int], state: Documents) -> Iterator[Row]:
    for number in order:
        node = graph.nodes[number]
        job = history.newest(node.source, node.unit, node.target, state) or {}
        yield (
            _key(node),
            {
                "node": _key(node),
                "source": node.source,
                "unit": node.unit,
                "target": node.target,
                "needs": [_key(graph.nodes[need]) for need in graph.needs[number] if need in shown],
                "state": _state(job),
                "job_id": job.get("job_id") or "",
            },
        )


def _state(job: Document) -> str:
    """Returns the state or outcome of a job; `unchanged` for a skipped one that needs no attention."""
    return "unchanged" if job.get("code") == "unchanged" else str(job.get("outcome") or job.get("state") or "")


def _key(node: Node) -> str:
    return f"{node.source}:{node.unit}@{node.target}"


def _number(args: Args, name: str) -> int:
    number = args.get(name) or 0
    if not isinstance(number, int) or number < 0:
        raise Rejected(f"{name} {number!r}: not a number", code="bad-argument")
    return number
