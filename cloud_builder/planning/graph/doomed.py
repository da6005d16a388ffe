"""What of a request cannot be built, because it is in a dependency cycle without a way in or needs what is; and what is
left to be built."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from .cycle import UnbreakableCycle
from .graph import Graph


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
