"""`cb-ctl graph`: who needs whom, and how everybody's newest job stands: a tree, dot, or a picture."""

from __future__ import annotations

from typing import Any

import click

from cloud_builder.planning.draw import Node, Picture, dot, svg, tree

from .completers import SOURCES, UNITS
from .options import global_options
from .output import show_json, styled
from .session import Session, session

MOST_LINES = 500
"""Of a tree: more is not read by people."""
_PAGE = 500

Row = dict[str, Any]


@click.command()
@click.argument("unit", required=False, shell_complete=UNITS)
@click.option("--reverse", is_flag=True, help="What needs UNIT, instead of what it needs.")
@click.option("--depth", type=click.IntRange(min=1), metavar="N", help="At most so many steps away.")
@click.option("--source", metavar="NAME", shell_complete=SOURCES, help="Only units of this source.")
@click.option("--target", metavar="TARGET", help="Only this target (bookworm.x86_64).")
@click.option("--format", "form", type=click.Choice(["text", "dot", "svg"]), default="text", show_default=True)
@click.option(
    "-n", "--most", type=click.IntRange(min=1), default=1000, show_default=True, metavar="N", help="At most N units."
)
@global_options
def graph(
    unit: str | None, *, reverse: bool, depth: int | None, source: str | None, target: str | None, form: str, most: int
) -> None:
    """Show what UNIT needs to be built, and so on down; without UNIT, all units.

    \b
    cb-ctl graph libhello --reverse              what is built again when libhello changes
    cb-ctl graph --format svg > units.svg        a picture; --format dot is for graphviz"""
    with session() as mesh:
        asked = {"unit": unit, "reverse": reverse, "depth": depth, "source": source, "target": target}
        found = _all_of(mesh, asked, most)
    if found["left_out"]:
        told = f"{len(found['nodes'])} of {found['total']} units are shown: name a UNIT, or say --depth or --most"
        click.echo(told, err=True)
    if mesh.json:
        show_json(found)
        return
    picture = _picture(found["nodes"])
    if form == "text":
        _show_tree(picture, found["roots"], reverse=reverse)
    else:
        click.echo(dot(picture) if form == "dot" else svg(picture), nl=False)


def _all_of(mesh: Session, asked: dict[str, Any], most: int) -> dict[str, Any]:
    """`{"nodes", "roots", "total", "left_out"}`, page by page."""
    nodes: list[Row] = []
    after: str | None = None
    while True:
        page = mesh.ask("graph", most=min(_PAGE, most - len(nodes)), after=after, **asked)
        nodes += page["items"]
        after = page["next"]
        if after is None or len(nodes) >= most:
            left_out = max(0, page["total"] - len(nodes))
            return {"nodes": nodes, "roots": page["roots"], "total": page["total"], "left_out": left_out}


def _picture(rows: list[Row]) -> Picture:
    """Labels say no more than what tells nodes apart."""
    several = {name: len({row[name] for row in rows}) > 1 for name in ("source", "target")}
    nodes = [Node(row["node"], _label(row, several), row["state"]) for row in rows]
    return Picture(nodes, {row["node"]: row["needs"] for row in rows})


def _label(row: Row, several: dict[str, bool]) -> str:
    source = f"{row['source']}:" if several["source"] else ""
    return f"{source}{row['unit']}" + (f" {row['target']}" if several["target"] else "")


def _show_tree(picture: Picture, asked: list[str], *, reverse: bool) -> None:
    roots = [key for key in asked if key in picture.by_key] or picture.tops(reverse=reverse)
    if not roots:
        click.echo("no units: cb-ctl source add NAME URL", err=True)
    for number, line in enumerate(tree(picture, roots, reverse=reverse)):
        if number == MOST_LINES:
            click.echo(f"… more than {MOST_LINES} lines: name a UNIT, or say --depth", err=True)
            return
        state = f"  {styled(line.node.state)}" if line.node.state else ""
        click.echo(f"{line.lead}{line.node.label}{state}{'  ' + line.note if line.note else ''}")
