"""The view `graph`: units × targets of all sources, who needs whom, and how the newest job of each one stands.

In go a unit (or nothing: all of them), a direction and a depth; out come nodes in pages, the nearest to the unit first.
The graph is made of the units of the read model, when somebody asks, and kept until a source has another commit:
Debian's whole index takes some seconds, the next question nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cloud_builder.errors import Rejected
from cloud_builder.model.ids import Revision, SourceName
from cloud_builder.model.unit import Unit
from cloud_builder.planning.graph.graph import Graph, Node, Origin, SourceSnapshot, build_graph
from cloud_builder.ports.state import Document, Documents

from . import find, history
from .pages import Row, page

Args = dict[str, Any]
Fingerprint = tuple[tuple[str, str, int], ...]
"""By which it is told whether a kept graph still holds: each source with its commit and number of units."""


@dataclass
class GraphCache:
    """The graph of the newest commits, made when it is asked for."""

    made_of: Fingerprint | None = None
    graph: Graph | None = None

    def of(self, state: Documents) -> Graph:
        now = tuple((key, str(body["revision"]), int(body["units"])) for key, body in state.find("source"))
        if self.graph is None or self.made_of != now:
            self.graph, self.made_of = build_graph(_snapshots(state)), now
        return self.graph


def _snapshots(state: Documents) -> Iterator[SourceSnapshot]:
    for key, source in state.find("source"):
        units = [Unit.model_validate(body) for _, body in state.find("unit", parent=key)]
        origin = Origin(str(source["url"]), Revision(str(source["revision"])))
        yield SourceSnapshot(SourceName(key), origin, units)


def view(atlas: GraphCache, state: Documents, args: Args) -> dict[str, Any]:
    """A page of nodes `{"node", "source", "unit", "target", "needs", "state", "job_id"}`, with `total` of all that are
    meant and `roots`: the nodes of the unit that was asked for.

    Arguments: unit, source, target, reverse, depth (0: all the way)."""
    whole = atlas.of(state)
    roots = _roots(whole, args)
    reverse, depth = bool(args.get("reverse")), _number(args, "depth")
    order = (
        _nearest(whole, roots, reverse=reverse, depth=depth)
        if roots
        else whole.topological_order(_narrowed(whole, args))
    )
    rows = _rows(whole, _behind(whole, order, str(args.get("after") or "")), set(order), state)
    found = page(rows, {"most": args.get("most")})
    return {**found, "total": len(order), "roots": [_key(whole.nodes[number]) for number in roots]}


def _roots(whole: Graph, args: Args) -> list[int]:
    """`hello`, `packages/hello` or `demo:packages/hello`, for the target that is asked for or for all."""
    word = str(args.get("unit") or "")
    if not word:
        return []
    source, _, path = word.rpartition(":")
    named = [
        (number, node)
        for number, node in enumerate(whole.nodes)
        if source in ("", node.source) and f"/{node.unit}".endswith(f"/{path}")
    ]
    if not named:
        raise find.missing("unit", word, {node.unit for node in whole.nodes})
    found = [number for number, node in named if args.get("target") in (None, "", node.target)]
    if not found:
        hint = f"It is built for {', '.join(sorted({node.target for _, node in named}))}."
        raise Rejected(f"{word} is not built for {args['target']}", code="not-found", hint=hint)
    return found


def _narrowed(whole: Graph, args: Args) -> list[int]:
    source, target = args.get("source"), args.get("target")
    return [
        number
        for number, node in enumerate(whole.nodes)
        if source in (None, "", node.source) and target in (None, "", node.target)
    ]


def _nearest(whole: Graph, roots: Iterable[int], *, reverse: bool, depth: int) -> list[int]:
    """The roots and what they need (or what needs them), the nearest first: of too many the farthest are cut off."""
    edges: Sequence[Sequence[int]] = whole.dependants if reverse else whole.needs
    order = sorted(roots)
    seen, edge, steps = set(order), order, 0
    while edge and (not depth or steps < depth):
        edge = sorted({other for number in edge for other in edges[number]} - seen)
        order += edge
        seen.update(edge)
        steps += 1
    return order


def _behind(whole: Graph, order: Sequence[int], after: str) -> Sequence[int]:
    """The rest of the order after the node of that key; all of it, when it is not there (any more)."""
    for at, number in enumerate(order) if after else ():
        if _key(whole.nodes[number]) == after:
            return order[at + 1 :]
    return order


def _rows(whole: Graph, order: Iterable[int], shown: set[int], state: Documents) -> Iterator[Row]:
    for number in order:
        node = whole.nodes[number]
        job = history.newest(node.source, node.unit, node.target, state) or {}
        yield (
            _key(node),
            {
                "node": _key(node),
                "source": node.source,
                "unit": node.unit,
                "target": node.target,
                "needs": [_key(whole.nodes[need]) for need in whole.needs[number] if need in shown],
                "state": _state(job),
                "job_id": job.get("job_id") or "",
            },
        )


def _state(job: Document) -> str:
    """How it stands or ended; `unchanged` is no skipping that anybody need look at."""
    return "unchanged" if job.get("code") == "unchanged" else str(job.get("outcome") or job.get("state") or "")


def _key(node: Node) -> str:
    return f"{node.source}:{node.unit}@{node.target}"


def _number(args: Args, name: str) -> int:
    number = args.get(name) or 0
    if not isinstance(number, int) or number < 0:
        raise Rejected(f"{name} {number!r}: not a number", code="bad-argument")
    return number
