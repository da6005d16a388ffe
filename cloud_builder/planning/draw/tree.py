"""A graph as lines for a terminal. What was shown with its branches once is only named the next time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .picture import Node, Picture


class Line(NamedTuple):
    """`lead`: the branches before the name. `note`: why nothing is below it, or empty."""

    lead: str
    node: Node
    note: str = ""


def tree(picture: Picture, roots: Sequence[str], *, reverse: bool = False, depth: int = 0) -> Iterator[Line]:
    """`depth` 0: all the way down."""
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
    """`beneath`: what stands before all that is below this node."""

    key: str
    lead: str
    beneath: str
    level: int
