"""A graph as lines for a terminal. The branches of a node are shown once; the next time only its name is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .picture import Node, Picture


class Line(NamedTuple):
    """A line. `lead`: the branches before the name; `note`: why no branches are below it, or empty."""

    lead: str
    node: Node
    note: str = ""


def tree(picture: Picture, roots: Sequence[str], *, reverse: bool = False, depth: int = 0) -> Iterator[Line]:
    """Returns the lines of the trees below the roots. `depth`: the most levels; 0: all of them."""
    below = picture.below(reverse=reverse)
    shown: set[str] = set()
    stack = [_Pending(root, "", "", 1) for root in reversed(roots)]
    while stack:
        step = stack.pop()
        under = below.get(step.key, [])
        repeated = step.key in shown and bool(under)
        deep = bool(under) and depth > 0 and step.level > depth
        note = "(see above)" if repeated else f"({len(under)} more below)" if deep else ""
        yield Line(step.lead, picture.by_key[step.key], note)
        shown.add(step.key)
        if repeated or deep:
            continue
        for number, key in reversed(list(enumerate(under))):
            last = number == len(under) - 1
            lead, beneath = step.beneath + ("└─ " if last else "├─ "), step.beneath + ("   " if last else "│  ")
            stack.append(_Pending(key, lead, beneath, step.level + 1))


class _Pending(NamedTuple):
    """A node that is still to be drawn. `beneath`: the lead of all lines below this node."""

    key: str
    lead: str
    beneath: str
    level: int
