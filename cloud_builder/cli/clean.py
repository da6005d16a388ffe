"""`cb-ctl clean`: removes what this machine has cached, except what is in use; says what that frees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cloud_builder.errors import ExitCode
from cloud_builder.model.nearest import did_you_mean
from cloud_builder.model.text import size

from .options import home_option, json_option
from .output import show_json, show_table
from .session import session

if TYPE_CHECKING:
    from cloud_builder.wiring.caches import CacheEntry

KINDS = ("leftovers", "layers", "downloads", "roots", "local", "home")
_ALL = "all"


def _complete(ctx: click.Context, param: click.Parameter, prefix: str) -> list[str]:
    return [name for name in (*KINDS, _ALL) if name.startswith(prefix)]


def _checked(ctx: click.Context, param: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in (*KINDS, _ALL):
            raise click.BadParameter(f"{name!r} is not known. {did_you_mean(name, (*KINDS, _ALL))}", ctx, param)
    return names


@click.command()
@click.argument("what", nargs=-1, metavar="[WHAT]…", callback=_checked, shell_complete=_complete)
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@home_option
@json_option
def clean(what: tuple[str, ...], dry_run: bool) -> int:
    """Remove what this machine has cached for builds, except what is in use. All of it is made again when needed.

    \b
    leftovers  directories of builds that were killed
    layers     installed build dependencies
    downloads  packages that apt has fetched
    local      results of `cb-ctl build`
    roots      build roots; making one again takes a minute
    all        all of these
    home       the state of the mesh, with its repositories and its signing key; the mesh must be down

    Without WHAT: leftovers, layers, downloads and local."""
    from cloud_builder.wiring import caches

    with session() as mesh:
        entries = caches.find(mesh.settings, _kinds(what))
        removed = [entry for entry in entries if (not entry.is_used if dry_run else caches.remove(entry))]
        freed = sum(entry.size for entry in removed)
        if mesh.json:
            rows = [{**_row(entry), "removed": entry in removed and not dry_run} for entry in entries]
            show_json({"freed": 0 if dry_run else freed, "can_be_freed": freed, "entries": rows})
            return ExitCode.SUCCESS
        _show(entries, removed)
        click.echo(f"{'would free' if dry_run else 'freed'} {size(freed)}")
        return ExitCode.SUCCESS


def _kinds(what: tuple[str, ...]) -> set[Any]:
    from cloud_builder.wiring.caches import DEFAULT, CacheKind

    named = {CacheKind(name) for name in what if name != _ALL} or (set() if what else set(DEFAULT))
    return named | ({*CacheKind} - {CacheKind.HOME} if _ALL in what else set())


def _show(entries: Sequence[CacheEntry], removed: Sequence[CacheEntry]) -> None:
    """Prints a row for each directory that holds entries of a kind."""
    rows: dict[tuple[str, str, str], list[int]] = {}
    for entry in entries:
        shown = entry.path if len(entry.path.name) < 20 else entry.path.parent
        note = "" if entry in removed else "in use, kept"
        rows.setdefault((str(entry.kind), str(shown), note), []).append(entry.size)
    cells = [[kind, size(sum(found)), len(found), shown, note] for (kind, shown, note), found in rows.items()]
    show_table(["what", "size", "number", "directory", ""], cells, empty="nothing to remove")


def _row(entry: CacheEntry) -> dict[str, Any]:
    return {"what": str(entry.kind), "path": str(entry.path), "size": entry.size, "is_used": entry.is_used}
