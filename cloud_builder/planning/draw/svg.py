"""A graph as an SVG picture in layers: a node is to the right of the nodes that it needs.

The layers are longest paths (Sugiyama et al. 1981, the first two steps). Edges that close a cycle do not count for the
layers. The order in a layer is by the mean position of the neighbours, computed a few times in both directions. Long
edges run behind the boxes between.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from .picture import Node, Picture

_CHARACTER, _HEIGHT, _GAP, _BETWEEN, _EDGE = 7.5, 26, 14, 70, 20
"""Pixels: the width of a letter, the height of a box, between boxes, between layers, around the picture."""
_SWEEPS = 4


@dataclass(frozen=True)
class _Box:
    node: Node
    x: float
    y: float
    width: float


def svg(picture: Picture) -> str:
    """Returns a whole document. A box has the colour of its node's state, and the state as a tooltip."""
    boxes = _boxes(picture)
    width = max((box.x + box.width for box in boxes.values()), default=0.0) + _EDGE
    height = max((box.y + _HEIGHT for box in boxes.values()), default=0.0) + _EDGE
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="monospace" font-size="12">',
        '<defs><marker id="to" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#666"/></marker></defs>',
        '<g fill="none" stroke="#999" marker-end="url(#to)">',
        *(_edge(boxes[above], boxes[under]) for above, under in picture.edges),
        "</g>",
        *(line for box in boxes.values() for line in _box(box)),
        "</svg>",
        "",
    ])  # fmt: skip


def _edge(above: _Box, under: _Box) -> str:
    """Returns an edge from a node (on the right) to one that it needs."""
    x1, y1 = above.x, above.y + _HEIGHT / 2
    x2, y2 = under.x + under.width, under.y + _HEIGHT / 2
    bend = max(_BETWEEN / 2, abs(x1 - x2) / 3)
    return f'<path d="M{x1:.0f} {y1:.0f}C{x1 - bend:.0f} {y1:.0f} {x2 + bend:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"/>'


def _box(box: _Box) -> Iterator[str]:
    name, state = _text(box.node.label), _text(box.node.state or "never built")
    yield f"<g><title>{name}: {state}</title>"
    yield (
        f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{_HEIGHT}" rx="5" '
        f'fill="{box.node.colour}" stroke="#555"/>'
    )
    yield f'<text x="{box.x + box.width / 2:.0f}" y="{box.y + 17:.0f}" text-anchor="middle">{name}</text></g>'


def _text(text: str) -> str:
    """Returns the text without characters that XML 1.0 does not allow."""
    return escape("".join(character if character.isprintable() else "?" for character in text))


def _boxes(picture: Picture) -> dict[str, _Box]:
    layers = _ordered(_layers(picture), picture)
    tallest = max((len(layer) for layer in layers), default=0)
    found: dict[str, _Box] = {}
    x = float(_EDGE)
    for layer in layers:
        width = max(len(picture.by_key[key].label) for key in layer) * _CHARACTER + 2 * 8
        top = _EDGE + (tallest - len(layer)) * (_HEIGHT + _GAP) / 2
        for number, key in enumerate(layer):
            found[key] = _Box(picture.by_key[key], x, top + number * (_HEIGHT + _GAP), width)
        x += width + _BETWEEN
    return found


def _layers(picture: Picture) -> list[list[str]]:
    """Returns the keys by layer: each node is one layer after the last of the nodes that it needs."""
    level: dict[str, int] = {}
    for key in _after_needs(picture):
        needs = (level[need] for need in picture.needs.get(key, ()) if need in level)
        level[key] = max(needs, default=-1) + 1
    layers: dict[int, list[str]] = defaultdict(list)
    for node in picture.nodes:
        layers[level[node.key]].append(node.key)
    return [layers[number] for number in sorted(layers)]


def _after_needs(picture: Picture) -> list[str]:
    """Returns every node after the nodes that it needs, except for edges that close a cycle.

    A depth-first search without recursion, so that long chains do not exceed the stack."""
    below = picture.below()
    done: dict[str, None] = {}
    open_: set[str] = set()
    for node in picture.nodes:
        stack = [node.key]
        while stack:
            key = stack[-1]
            rest = [need for need in below.get(key, ()) if need not in done and need not in open_]
            if key in done or (key in open_ and not rest):
                done[stack.pop()] = None
                open_.discard(key)
            else:
                open_.add(key)
                stack += rest[:1]
    return list(done)


def _ordered(layers: Sequence[Sequence[str]], picture: Picture) -> list[list[str]]:
    """Returns the layers in an order with few crossings."""
    needs, needed = picture.below(), picture.below(reverse=True)
    ordered = [list(layer) for layer in layers]
    for sweep in range(_SWEEPS):
        is_forward = sweep % 2 == 0
        neighbours = needs if is_forward else needed
        positions = {key: number / max(1, len(layer) - 1) for layer in ordered for number, key in enumerate(layer)}
        for layer in ordered if is_forward else reversed(ordered):
            layer.sort(key=lambda key: _mean(key, neighbours, positions))
            positions |= {key: number / max(1, len(layer) - 1) for number, key in enumerate(layer)}
    return ordered


def _mean(key: str, neighbours: Mapping[str, Sequence[str]], positions: Mapping[str, float]) -> float:
    found = [positions[neighbour] for neighbour in neighbours.get(key, ())]
    return sum(found) / len(found) if found else positions[key]
