"""The graph that is drawn: nodes, which node needs which, and the colours of states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

COLOURS: Mapping[str, str] = {
    "success": "#b7e1b0", "reused": "#cfe8c8", "unchanged": "#cfe8c8",
    "failure": "#f2a6a0", "error": "#f2a6a0", "skipped": "#e6c8e6", "canceled": "#e6c8e6", "superseded": "#e6c8e6",
    "running": "#a9d8f0", "queued": "#f4e3a1", "blocked": "#f4e3a1",
}  # fmt: skip
"""The fill colour by the state or outcome of the newest job."""
NEVER_BUILT = "#eeeeee"


@dataclass(frozen=True)
class Node:
    """A unit. `key`: unique; `state`: of its newest job, empty if there was none."""

    key: str
    label: str
    state: str = ""

    @property
    def colour(self) -> str:
        return COLOURS.get(self.state, NEVER_BUILT)


@dataclass(frozen=True)
class Picture:
    """A graph. `needs`: a node's key → the keys of the nodes that it needs; keys without a node are left out."""

    nodes: Sequence[Node]
    needs: Mapping[str, Sequence[str]]

    @cached_property
    def by_key(self) -> dict[str, Node]:
        return {node.key: node for node in self.nodes}

    @cached_property
    def edges(self) -> list[tuple[str, str]]:
        """Pairs of keys (node, a node that it needs), in the order of the nodes."""
        return [(node.key, need) for node in self.nodes for need in self.needs.get(node.key, ()) if need in self.by_key]

    def below(self, *, reverse: bool = False) -> dict[str, list[str]]:
        """Returns the nodes that each node needs; with `reverse` the nodes that need it."""
        found: dict[str, list[str]] = defaultdict(list)
        for above, under in self.edges:
            found[under if reverse else above].append(above if reverse else under)
        return found

    def tops(self, *, reverse: bool = False) -> list[str]:
        """Returns the roots of a tree with all nodes: nodes without an incoming edge, then one of each cycle left."""
        below = self.below(reverse=reverse)
        under = {key for keys in below.values() for key in keys}
        tops = [node.key for node in self.nodes if node.key not in under]
        seen = _reached(tops, below)
        for node in self.nodes:
            if node.key not in seen:
                tops.append(node.key)
                seen |= _reached([node.key], below)
        return tops


def _reached(start: Iterable[str], edges: Mapping[str, Sequence[str]]) -> set[str]:
    seen: set[str] = set()
    todo = list(start)
    while todo:
        key = todo.pop()
        if key not in seen:
            seen.add(key)
            todo += edges.get(key, ())
    return seen
