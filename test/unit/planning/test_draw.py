"""Drawn graphs: finite trees, valid dot for Graphviz, SVG with needed nodes on the left."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.planning.draw import Node, Picture, dot, svg, tree

SVG = "{http://www.w3.org/2000/svg}"


def picture(**needs: str) -> Picture:
    """Returns a picture from keyword arguments: `app="lib base"` means that app needs lib and base."""
    return Picture([Node(key, f"packages/{key}", "success") for key in needs], {k: v.split() for k, v in needs.items()})


DIAMOND = picture(base="", left="base", right="base", top="left right")


def lines(*roots: str, of: Picture = DIAMOND, reverse: bool = False, depth: int = 0) -> list[str]:
    return [
        f"{line.lead}{line.node.key} {line.note}".rstrip() for line in tree(of, roots, reverse=reverse, depth=depth)
    ]


def test_tree_shows_the_needs_of_a_unit() -> None:
    assert lines("top") == ["top", "├─ left", "│  └─ base", "└─ right", "   └─ base"]


def test_reverse_tree_shows_the_dependants_of_a_unit() -> None:
    assert lines("base", reverse=True) == ["base", "├─ left", "│  └─ top", "└─ right", "   └─ top"]


def test_tree_shows_each_branch_once() -> None:
    shared = picture(base="", lib="base", a="lib", b="lib", top="a b")
    assert lines("top", of=shared)[-1] == "   └─ lib (see above)"


def test_tree_counts_the_nodes_below_its_depth() -> None:
    assert lines("top", depth=1) == ["top", "├─ left (1 more below)", "└─ right (1 more below)"]


def test_tree_shows_a_cycle_once() -> None:
    cycle = picture(a="b", b="a", c="a")
    assert lines("a", of=cycle) == ["a", "└─ b", "   └─ a (see above)"]
    assert cycle.tops() == ["c"]
    assert picture(a="b", b="a").tops() == ["a"]


def test_dot_quotes_names_of_units() -> None:
    text = dot(Picture([Node('a"b\\', 'x"\ny', "failure")], {}))
    assert '"a\\"b\\\\" [label="x\\" y"' in text
    assert text.count("{") == text.count("}")


def test_svg_has_a_box_for_each_node_and_a_line_for_each_edge() -> None:
    document = ElementTree.fromstring(svg(DIAMOND))
    assert [text.text for text in document.iter(f"{SVG}text")] == [
        f"packages/{k}" for k in ("base", "left", "right", "top")
    ]
    assert len(document.findall(f"{SVG}g[@marker-end]/{SVG}path")) == 4
    assert {box.get("fill") for box in document.iter(f"{SVG}rect")} == {"#b7e1b0"}


def test_svg_replaces_characters_that_xml_does_not_allow() -> None:
    document = ElementTree.fromstring(svg(Picture([Node("a", "<a>&\x1b\ud800", "")], {})))
    assert [text.text for text in document.iter(f"{SVG}text")] == ["<a>&??"]


def test_empty_graph_is_a_valid_picture() -> None:
    ElementTree.fromstring(svg(Picture([], {})))
    assert dot(Picture([], {})).startswith("digraph")


@given(
    st.integers(1, 12).flatmap(lambda n: st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=30))
)
def test_every_graph_is_drawn_with_needs_on_the_left(edges: list[tuple[int, int]]) -> None:
    names = sorted({number for edge in edges for number in edge}) or [0]
    needs = {str(n): [str(under) for above, under in edges if above == n and under < n] for n in names}
    boxes = _positions(Picture([Node(key, key) for key in needs], needs))
    assert all(boxes[above] > boxes[under] for above, unders in needs.items() for under in unders)
    cyclic = {str(n): [str(under) for above, under in edges if above == n] for n in names}
    whole = Picture([Node(key, key) for key in cyclic], cyclic)
    assert len(_positions(whole)) == len(names)
    assert {line.node.key for line in tree(whole, whole.tops())} == set(cyclic)


def _positions(drawn: Picture) -> dict[str, float]:
    found = re.findall(r'<rect x="(\d+)".*?>\n<text [^>]*>(\w+)<', svg(drawn))
    return {name: float(x) for x, name in found}


@pytest.mark.parametrize("state", ["success", "failure", "running", ""])
def test_each_state_has_a_colour(state: str) -> None:
    assert re.fullmatch("#[0-9a-f]{6}", Node("a", "a", state).colour)
