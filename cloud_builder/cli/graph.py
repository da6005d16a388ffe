"""`cb-ctl graph`: shows which unit needs which, with the state of the newest jobs, as a tree, dot or SVG."""

from __future__ import annotations

from typing import Any

import click

from cloud_builder.planning.draw import Node, Picture, dot, svg, tree

from .completers import SOURCES, UNITS
from .options import global_options
from .output import show_json, styled
from .session import Session, session

MAX_LINES = 500
"""Of a tree; a person does not read more."""
_PAGE = 500
"""Nodes of one query."""

Row = dict[str, Any]


@click.command()
@click.argument("unit", required=False, shell_complete=UNITS)
@click.option("--reverse", is_flag=True, help="Show what needs UNIT, instead of what UNIT needs.")
@click.option("--depth", type=click.IntRange(min=1), metavar="N", help="Only units at most N steps away.")
@click.option("--source", metavar="NAME", shell_complete=SOURCES, help="Only units of this source.")
@click.option("--target", metavar="DIST.ARCH", help="Only this target.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "dot", "svg"]),
    default="text",
    show_default=True,
    help="Output format.",
)
@click.option(
    "-n",
    "--most",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    metavar="N",
    help="Show at most N units.",
)
@global_options
def graph(
    unit: str | None, *, reverse: bool, depth: int | None, source: str | None, target: str | None, form: str, most: int
) -> None:
    """Show which units UNIT needs to be built, directly and indirectly. Without UNIT: all units.

    \b
    cb-ctl graph libhello --reverse              the units that are built again when libhello changes
    cb-ctl graph --format svg > units.svg        a picture; --format dot is for Graphviz"""
    with session() as mesh:
        query = {"unit": unit, "reverse": reverse, "depth": depth, "source": source, "target": target}
        found = _fetch_graph(mesh, query, most)
    if found["left_out"]:
        message = f"{len(found['nodes'])} of {found['total']} units are shown: name a UNIT, or use --depth or --most"
        click.echo(message, err=True)
    if mesh.json:
        show_json(found)
        return
    picture = _picture(found["nodes"])
    if form == "text":
        _show_tree(picture, found["roots"], reverse=reverse)
    else:
        click.echo(dot(picture) if form == "dot" else svg(picture), nl=False)


def _fetch_graph(mesh: Session, query: dict[str, Any], most: int) -> dict[str, Any]:
    """Returns `{"nodes", "roots", "total", "left_out"}`, read page by page."""
    nodes: list[Row] = []
    after: str | None = None
    while True:
        page = mesh.query("graph", most=min(_PAGE, most - len(nodes)), after=after, **query)
        nodes += page["items"]
        after = page["next"]
        if after is None or len(nodes) >= most:
            left_out = max(0, page["total"] - len(nodes))
            return {"nodes": nodes, "roots": page["roots"], "total": page["total"], "left_out": left_out}


def _picture(rows: list[Row]) -> Picture:
    """Returns the picture. A label has the source or the target only if nodes differ in it."""
    several = {name: len({row[name] for row in rows}) > 1 for name in ("source", "target")}
    nodes = [Node(row["node"], _label(row, several), row["state"]) for row in rows]
    return Picture(nodes, {row["node"]: row["needs"] for row in rows})


def _label(row: Row, several: dict[str, bool]) -> str:
    source = f"{row['source']}:" if several["source"] else ""
    return f"{source}{row['unit']}" + (f" {row['target']}" if several["target"] else "")


def _show_tree(picture: Picture, named: list[str], *, reverse: bool) -> None:
    roots = [key for key in named if key in picture.by_key] or picture.tops(reverse=reverse)
    if not roots:
        click.echo("no units: add a source with `cb-ctl source add NAME URL`", err=True)
    for number, line in enumerate(tree(picture, roots, reverse=reverse)):
        if number == MAX_LINES:
            click.echo(f"… more than {MAX_LINES} lines: name a UNIT, or use --depth", err=True)
            return
        state = f"  {styled(line.node.state)}" if line.node.state else ""
        click.echo(f"{line.lead}{line.node.label}{state}{'  ' + line.note if line.note else ''}")
