"""Graphs for people: units and what they need, as a tree of lines, as dot (graphviz), or as an SVG picture.

    picture.py   what is drawn: nodes with a label and a state, and who needs whom
    tree.py      lines for a terminal, from chosen nodes along their edges
    dot.py       the language of graphviz: `cb-ctl graph --format dot | dot -Tsvg`
    svg.py       a picture in layers, made here, because a bare machine has no graphviz

Text comes out; where it goes is somebody else's business.
"""

from .dot import dot
from .picture import Node, Picture
from .svg import svg
from .tree import Line, tree

__all__ = ["Line", "Node", "Picture", "dot", "svg", "tree"]
