"""Strongly connected components of a directed graph over the numbers from 0, and their levels.

Tarjan's algorithm (SIAM J. Comput. 1 (1972) 146) with an explicit stack: chains of thousands of nodes are common, and
would exceed Python's recursion limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

Edges = Sequence[Sequence[int]]
"""For each node, the nodes that it has edges to."""


def strongly_connected(edges: Edges) -> Iterator[list[int]]:
    """Yields each component after all components that it has edges to."""
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
            for neighbour in rest:
                if not index[neighbour]:
                    todo.append((neighbour, iter(edges[neighbour])))
                    break
                if index[neighbour] < low[node]:  # noqa: PLR1730 - twice as fast as min()
                    low[node] = index[neighbour]
            else:
                todo.pop()
                if todo and low[node] < low[todo[-1][0]]:
                    low[todo[-1][0]] = low[node]
                if low[node] == index[node]:
                    at = _last_index(path, node)
                    component = path[at:]
                    del path[at:]
                    for member in component:
                        index[member] = finished
                    yield component


def _last_index(path: list[int], node: int) -> int:
    """Searches from the end, because the node is mostly near it."""
    at = len(path) - 1
    while path[at] != node:
        at -= 1
    return at


def components_among(nodes: Iterable[int], edges: Edges) -> Iterator[list[int]]:
    """Yields the components of some nodes by the edges between them, each after those that it has edges to."""
    ordered = sorted(nodes)
    index = {node: n for n, node in enumerate(ordered)}
    inner = [[index[neighbour] for neighbour in edges[node] if neighbour in index] for node in ordered]
    for component in strongly_connected(inner):
        yield [ordered[n] for n in component]


def level_of(members: Sequence[int], edges: Edges, level: Sequence[int]) -> int:
    """Returns one more than the highest level that a component has edges to; 0 when it has no edges out of it."""
    if len(members) == 1:
        return 1 + max([level[neighbour] for neighbour in edges[members[0]]], default=-1)
    inside = set(members)
    return 1 + max(
        (level[neighbour] for node in members for neighbour in edges[node] if neighbour not in inside), default=-1
    )
