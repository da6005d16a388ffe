"""`cb-ctl source`: which git repositories the mesh follows."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import click

from cloud_builder.errors import CloudBuilderError, Rejected, Retryable
from cloud_builder.model.nearest import did_you_mean

from .completers import SOURCES
from .lazy import LazyGroup
from .options import global_options
from .output import show_json, show_table
from .session import Session, session

SEEN_WITHIN = 30.0
"""Seconds to wait until cb-request has read a new source."""

TABLE = {
    "add": ("cloud_builder.cli.source", "add", "Follow a git repository under a name."),
    "list": ("cloud_builder.cli.source", "list_sources", "Show the sources and the commit each is at."),
    "remove": ("cloud_builder.cli.source", "remove", "Follow a source no longer; what it published stays."),
}


@click.group(cls=LazyGroup, table=TABLE, no_args_is_help=True)
@global_options
def source() -> None:
    """Add, list and remove the git repositories to build from."""


@click.command()
@click.argument("name")
@click.argument("url")
@click.option("--branch", default="", help="Follow this branch [the repository's default].")
@global_options
def add(name: str, url: str, branch: str) -> None:
    """Follow the git repository URL (a path, file://, https:// or ssh) under NAME."""
    with session() as mesh:
        send_source(mesh, name, url, branch)
        row = wait_for_source(mesh, name, absolute_url(url), branch)
        if mesh.json:
            show_json(row)
        else:
            click.echo(f"{name}: {row['units']} units at {row['revision'][:12]} on {row['branch']}")
            for problem in row["problems"]:
                click.echo(f"  {problem_line(problem)}", err=True)


@click.command()
@click.argument("name", shell_complete=SOURCES)
@global_options
def remove(name: str) -> None:
    """Follow the source NAME no longer. What was built from it stays published."""
    from cloud_builder.model.events import SourceRemoveRequested
    from cloud_builder.model.ids import SourceName

    with session() as mesh:
        known = [row["source"] for row in mesh.pages("sources")]
        if name not in known:
            raise Rejected(f"source {name!r}: not known", code="unknown-source", hint=did_you_mean(name, known))
        mesh.send(SourceRemoveRequested(source=SourceName(name)))
        deadline = time.monotonic() + SEEN_WITHIN
        while any(row["source"] == name for row in mesh.pages("sources")):
            if time.monotonic() > deadline:
                raise silent_request(mesh)
            time.sleep(0.2)
        if mesh.json:
            show_json({"removed": name})
        else:
            click.echo(f"{name}: removed")


@click.command("list")
@global_options
def list_sources() -> None:
    """Show the sources and the commit each is at."""
    show_sources()


def show_sources() -> None:
    with session() as mesh:
        rows = mesh.pages("sources")
        if mesh.json:
            show_json(rows)
            return
        cells = [
            [row["source"], row["branch"], row["revision"][:12], row["units"], len(row["problems"]) or "", row["url"]]
            for row in rows
        ]
        columns = ["source", "branch", "revision", "units", "problems", "url"]
        show_table(columns, cells, empty="no sources yet: cb-ctl source add NAME URL")
        for row in rows:
            if trouble := row.get("trouble"):
                click.echo(f"{row['source']}: cannot be read: {trouble['message']}\n  {trouble['hint']}", err=True)
            for problem in row["problems"]:
                click.echo(f"{row['source']}: {problem_line(problem)}", err=True)


def send_source(mesh: Session, name: str, url: str, branch: str = "") -> None:
    """Announces a source. Rejected for a name that cannot be one."""
    from cloud_builder.model.events import SourceAddRequested
    from cloud_builder.model.ids import SOURCE_NAME, SourceName

    if not re.match(SOURCE_NAME, name):
        hint = "Lower-case letters, digits, '.', '+', '-'; it begins with a letter or digit."
        raise Rejected(f"source {name!r}: cannot be a name", code="bad-source-name", hint=hint)
    if is_path(url) and not mesh.is_remote and not Path(url).expanduser().exists():
        hint = "Give the path of a git repository, or a URL (https://, ssh://, file://)."
        raise Rejected(f"source {name}: {url}: no such directory", code="source-unreachable", hint=hint)
    mesh.send(SourceAddRequested(source=SourceName(name), url=absolute_url(url), branch=branch))


def wait_for_source(mesh: Session, name: str, url: str, branch: str = "") -> dict[str, Any]:
    """The source as cb-request has read it. Retryable with the cause when it cannot; cb-request goes on trying."""
    started = time.time()
    while time.time() - started < SEEN_WITHIN:
        for row in [row for row in mesh.pages("sources") if row["source"] == name]:
            trouble = row.get("trouble")
            if trouble and trouble["at"] > started - 1.0:
                raise _unread(name, trouble)
            if row["revision"] and row["url"] == url and (not branch or row["branch"] == branch):
                return row
        time.sleep(0.2)
    raise Retryable(
        f"source {name}: nothing was read from {url} within {SEEN_WITHIN:g} s",
        code="source-unreachable",
        hint=_why_unread(mesh),
    )


def _unread(name: str, trouble: dict[str, Any]) -> CloudBuilderError:
    """A branch that is not there is a slip of who typed it; anything else may get well by itself."""
    told = str(trouble["message"]).removeprefix(f"source {name}: ")
    kind = Rejected if trouble["code"] == "unknown-ref" else Retryable
    return kind(f"source {name}: {told}", code=trouble["code"], hint=trouble["hint"])


def _why_unread(mesh: Session) -> str:
    from cloud_builder.wiring.rundir import log_file, up_of

    home = mesh.settings.home
    if up_of(home) is not None:
        return f"cb-request goes on trying; {log_file(home, 'request')} says why."
    return "cb-request goes on trying; its log says why."


def silent_request(mesh: Session) -> CloudBuilderError:
    from cloud_builder.wiring.rundir import log_file, up_of

    home = mesh.settings.home
    where = f"; see {log_file(home, 'request')}" if up_of(home) is not None else ""
    return Retryable(
        "cb-request does not answer", code="no-cb-request", hint=f"Is it running? `cb-ctl status` tells{where}."
    )


def absolute_url(url: str) -> str:
    """A path on this machine as an absolute one: the daemon that reads it stands elsewhere."""
    return str(Path(url).expanduser().resolve()) if is_path(url) else url


def is_path(url: str) -> bool:
    """True for what is neither a URL nor `host:path`, as git reads it."""
    return "://" not in url and (":" not in url or Path(url).exists())


def problem_line(problem: dict[str, Any]) -> str:
    where = ":".join(str(part) for part in (problem.get("file") or problem.get("path"), problem.get("line")) if part)
    hint = f" ({problem['hint']})" if problem.get("hint") else ""
    return f"{where}: {problem['message']}{hint}"
