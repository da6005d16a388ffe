"""Graphs of units and what they need, as text that people look at.

    picture.py   the graph that is drawn: nodes with a label and a state, and which node needs which
    tree.py      lines for a terminal, from chosen nodes along their edges
    dot.py       the language of graphviz: `cb-ctl graph --format dot | dot -Tsvg`
    svg.py       a picture in layers, made without graphviz, which a bare machine does not have

Output: text. Must not: write it anywhere.
"""

from .dot import dot
from .picture import Node, Picture
from .svg import svg
from .tree import Line, tree

__all__ = ["Line", "Node", "Picture", "dot", "svg", "tree"]
