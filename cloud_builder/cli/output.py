"""Prints answers: JSON for programs, tables with colours on a terminal, plain lines elsewhere.

Rich is loaded only when stdout is a terminal. NO_COLOR switches colours off (https://no-color.org).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from .terminal import escaped, sanitize

if TYPE_CHECKING:
    from rich.text import Text

COLOURS = {
    "success": "green", "reused": "green", "online": "green", "finished": "green",
    "failure": "red", "error": "red", "rejected": "red", "silent": "red",
    "running": "cyan", "accepted": "cyan", "queued": "yellow", "blocked": "yellow", "assigned": "cyan",
    "build": "cyan", "maybe": "yellow", "unchanged": "green",
    "canceled": "magenta", "superseded": "magenta", "skipped": "magenta", "draining": "yellow",
    "quarantined": "red",
}  # fmt: skip

SHORTENED = ("", "units", "reason", "why")
"""Columns that are cut on a narrow terminal; another command shows their whole text."""
GAP = 2
"""Characters between two columns."""
MIN_WIDTH = 12
"""Characters; a column is not cut to less."""


def is_terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def show_json(data: Any) -> None:
    click.echo(escaped(json.dumps(data, indent=2, ensure_ascii=False)))


def print_result(as_json: bool, data: Any, text: str) -> None:
    """Prints `data` as JSON, or `text` for people."""
    if as_json:
        show_json(data)
    else:
        click.echo(text)


def show_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], empty: str = "") -> None:
    """Prints columns under headings. Without rows: prints `empty` to stderr, so that scripts read nothing."""
    if not rows:
        if empty:
            click.echo(empty, err=True)
        return
    cells = [["" if cell is None else sanitize(str(cell)) for cell in row] for row in rows]
    if is_terminal():
        _rich_table(columns, cells)
        return
    widths = [max(len(line[at]) for line in [list(columns), *cells]) for at in range(len(columns))]
    for line in [[name.upper() for name in columns], *cells]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    widths = [max(len(line[at]) for line in [columns, *rows]) for at in range(len(columns))]
    widths = fit(widths, [at for at, name in enumerate(columns) if name in SHORTENED], console.width)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="ellipsis" if name in SHORTENED else "fold")
    for row in rows:
        cells = [coloured(cell) for cell in row]
        for cell, name, width in zip(cells, columns, widths, strict=True):
            if name in SHORTENED:
                cell.truncate(width, overflow="ellipsis")
        table.add_row(*cells)
    console.print(table)


def fit(widths: Sequence[int], shortened: Sequence[int], room: int) -> list[int]:
    """Returns widths of columns that fit into `room` characters, with GAP between them.

    Always narrows the widest of the `shortened` columns, down to MIN_WIDTH."""
    found = list(widths)
    while sum(found) + GAP * (len(found) - 1) > room:
        widest = max(shortened, key=lambda at: found[at], default=None)
        if widest is None or found[widest] <= MIN_WIDTH:
            break
        found[widest] -= 1
    return found


def coloured(state: str) -> Text:
    from rich.text import Text

    return Text(state, style=COLOURS.get(state, ""))


def styled(state: str) -> str:
    """Returns a state in its colour, for `click.echo` (which removes colours if stdout is no terminal)."""
    return painted(state, COLOURS.get(state))


def painted(text: str, colour: str | None, *, bold: bool = False) -> str:
    """Returns coloured text for `click.echo`; without the colour if NO_COLOR is set."""
    if os.environ.get("NO_COLOR"):
        colour = None
    return click.style(text, fg=colour, bold=bold or None) if colour or bold else text


def moment(seconds: float | None) -> str:
    """Returns a time of day in this machine's time zone, with the date if it is not today."""
    if not seconds:
        return ""
    then = time.localtime(seconds)
    today = time.localtime()[:3] == then[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M", then)


def count_of(repository: dict[str, Any], name: str) -> int:
    """Returns the number of `held` builds, or `kept` packages, of a repository."""
    return len(repository.get(name) or ()) + int(repository.get(f"more_{name}") or 0)
