"""Strongly connected components of a directed graph over the numbers from 0, and how deep each lies.

Tarjan's algorithm (SIAM J. Comput. 1 (1972) 146) with a stack of its own: chains of thousands are common, and Python's
recursion is not made for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

Edges = Sequence[Sequence[int]]
"""By number, the numbers that it has edges to."""


def strongly_connected(edges: Edges) -> Iterator[list[int]]:
    """Each component after all those that it has edges to."""
    finished = len(edges) + 1
    index, low = [0] * len(edges), [0] * len(edges)
    path: list[int] = []
    count = 0
    for root in range(len(edges)):
        todo = [] if index[root] else [(root, iter(edges[root]))]
        while todo:
            node, rest = todo[-1]
            if not index[node]:
                count += 1
                index[node] = low[node] = count
                path.append(node)
            for other in rest:
                if not index[other]:
                    todo.append((other, iter(edges[other])))
                    break
                if index[other] < low[node]:  # noqa: PLR1730 - twice as fast as min()
                    low[node] = index[other]
            else:
                todo.pop()
                if todo and low[node] < low[todo[-1][0]]:
                    low[todo[-1][0]] = low[node]
                if low[node] == index[node]:
                    at = _place_of(path, node)
                    found = path[at:]
                    del path[at:]
                    for member in found:
                        index[member] = finished
                    yield found


def _place_of(path: list[int], node: int) -> int:
    """Near the end, mostly."""
    at = len(path) - 1
    while path[at] != node:
        at -= 1
    return at


def among(nodes: Iterable[int], edges: Edges) -> Iterator[list[int]]:
    """The components of these nodes by the edges between them, each after all those that it has edges to."""
    ordered = sorted(nodes)
    place = {node: n for n, node in enumerate(ordered)}
    inner = [[place[other] for other in edges[node] if other in place] for node in ordered]
    for found in strongly_connected(inner):
        yield [ordered[n] for n in found]


def level_of(members: Sequence[int], edges: Edges, level: Sequence[int]) -> int:
    """One more than the deepest that a component has edges to; 0 when it has none."""
    if len(members) == 1:
        return 1 + max([level[other] for other in edges[members[0]]], default=-1)
    inside = set(members)
    return 1 + max((level[other] for node in members for other in edges[node] if other not in inside), default=-1)
