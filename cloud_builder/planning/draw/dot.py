"""A graph in the language of graphviz (https://graphviz.org/doc/info/lang.html)."""

from __future__ import annotations

from .picture import Picture


def dot(picture: Picture) -> str:
    """Edges point from who needs to what is needed; what is needed stands on the left."""
    lines = ["digraph units {", "  rankdir=RL;", '  node [shape=box style="rounded,filled" fontname="sans-serif"];']
    lines += [
        f"  {_quoted(node.key)} [label={_quoted(node.label)} fillcolor={_quoted(node.colour)}"
        f" tooltip={_quoted(node.state or 'never built')}];"
        for node in picture.nodes
    ]
    lines += [f"  {_quoted(above)} -> {_quoted(under)};" for above, under in picture.edges]
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    """A quoted ID: only the quote itself and a backslash at the end mean something in it; labels know escapes, too."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'
