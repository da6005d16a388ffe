"""A graph in the language of graphviz (https://graphviz.org/doc/info/lang.html)."""

from __future__ import annotations

from .picture import Picture


def dot(picture: Picture) -> str:
    """Returns the graph. Edges point from a node to the nodes that it needs, which are on the left."""
    lines = ["digraph units {", "  rankdir=RL;", '  node [shape=box style="rounded,filled" fontname="sans-serif"];']
    lines += [
        f"  {_quoted(node.key)} [label={_quoted(node.label)} fillcolor={_quoted(node.colour)}"
        f" tooltip={_quoted(node.state or 'never built')}];"
        for node in picture.nodes
    ]
    lines += [f"  {_quoted(above)} -> {_quoted(under)};" for above, under in picture.edges]
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    """Returns a quoted ID. A quote ends it, and labels have escapes that begin with a backslash: both are escaped."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'
