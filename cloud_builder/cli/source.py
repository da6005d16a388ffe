"""`cb-ctl source`: adds, lists and removes the git repositories that the mesh follows."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import click

from cloud_builder.errors import CloudBuilderError, Rejected, Retryable
from cloud_builder.model.nearest import did_you_mean
from cloud_builder.ports.source import NO_COMMITS

from .completers import SOURCES
from .lazy import LazyGroup
from .options import global_options
from .output import show_json, show_table
from .session import Session, session

READ_TIMEOUT = 30.0
"""Seconds until cb-request must have read a new source, or removed one."""

TABLE = {
    "add": ("cloud_builder.cli.source", "add", "Follow a git repository under a name."),
    "list": ("cloud_builder.cli.source", "list_sources", "List the sources with their commits."),
    "remove": ("cloud_builder.cli.source", "remove", "Stop following a source; keep its packages."),
}


@click.group(cls=LazyGroup, table=TABLE, no_args_is_help=True)
@global_options
def source() -> None:
    """Add, list and remove the git repositories to build from."""


@click.command()
@click.argument("name")
@click.argument("url")
@click.option("--branch", default="", help="Branch to follow [default: that of the repository].")
@click.option(
    "--rebuild-suffix",
    default="",
    metavar="+cb{n}",
    help="What a version gets when a package is built again with other contents; {n} counts from 1.",
)
@global_options
def add(name: str, url: str, branch: str, rebuild_suffix: str) -> None:
    """Follow the git repository URL (a path, file://, https:// or ssh) under NAME."""
    with session() as mesh:
        send_source(mesh, name, url, branch, rebuild_suffix)
        row = wait_for_source(mesh, name, absolute_url(url), branch)
        if mesh.json:
            show_json(row)
        else:
            click.echo(f"{name}: {read_line(row)}")
            for problem in row["problems"]:
                click.echo(f"  {problem_line(problem)}", err=True)


@click.command()
@click.argument("name", shell_complete=SOURCES)
@global_options
def remove(name: str) -> None:
    """Stop following the source NAME. The packages that were built from it stay published."""
    from cloud_builder.model.events import SourceRemoveRequested
    from cloud_builder.model.ids import SourceName

    with session() as mesh:
        names = [row["source"] for row in mesh.pages("sources")]
        if name not in names:
            hint = did_you_mean(name, names) or "`cb-ctl source list` shows the sources."
            raise Rejected(f"no source {name!r}", code="unknown-source", hint=hint)
        mesh.send(SourceRemoveRequested(source=SourceName(name)))
        deadline = time.monotonic() + READ_TIMEOUT
        while any(row["source"] == name for row in mesh.pages("sources")):
            if time.monotonic() > deadline:
                raise no_answer_from_request(mesh)
            time.sleep(0.2)
        if mesh.json:
            show_json({"removed": name})
        else:
            click.echo(f"{name}: removed")


@click.command("list")
@global_options
def list_sources() -> None:
    """List the sources with their commits."""
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
        show_table(columns, cells, empty="no sources yet: add one with `cb-ctl source add NAME URL`")
        for row in rows:
            if trouble := row.get("trouble"):
                click.echo(f"{row['source']}: cannot be read: {trouble['message']}\n  {trouble['hint']}", err=True)
            for problem in row["problems"]:
                click.echo(f"{row['source']}: {problem_line(problem)}", err=True)


def send_source(mesh: Session, name: str, url: str, branch: str = "", rebuild_suffix: str = "") -> None:
    """Sends a source to cb-request.

    Rejected for an invalid name or suffix, or a path on this machine that does not exist."""
    from cloud_builder.model.events import SourceAddRequested
    from cloud_builder.model.ids import SOURCE_NAME, SourceName
    from cloud_builder.model.rebuild import DEFAULT_SUFFIX, suffix_error

    if not re.match(SOURCE_NAME, name):
        hint = "Use lower-case letters, digits, '.', '+' and '-'; begin with a letter or digit."
        raise Rejected(f"source name {name!r} is not valid", code="bad-source-name", hint=hint)
    if is_path(url) and not mesh.is_remote and not Path(url).expanduser().exists():
        hint = "Give the path of a git repository, or a URL (https://, ssh://, file://)."
        raise Rejected(f"source {name}: {url}: no such directory", code="source-unreachable", hint=hint)
    suffix = rebuild_suffix or DEFAULT_SUFFIX
    if error := suffix_error(suffix):
        hint = f"{DEFAULT_SUFFIX} is the default; build{{n}} also sorts before 1.0-1ubuntu1."
        raise Rejected(f"{suffix!r} cannot be a rebuild suffix: {error}", code="bad-rebuild-suffix", hint=hint)
    added = SourceAddRequested(source=SourceName(name), url=absolute_url(url), branch=branch, rebuild_suffix=suffix)
    mesh.send(added)


def wait_for_source(mesh: Session, name: str, url: str, branch: str = "") -> dict[str, Any]:
    """Returns the source after cb-request has read it; without a revision, if it is empty.

    Retryable with the cause when cb-request cannot read it; cb-request goes on trying."""
    started = time.time()
    while time.time() - started < READ_TIMEOUT:
        for row in [row for row in mesh.pages("sources") if row["source"] == name]:
            trouble = row.get("trouble")
            if trouble and trouble["at"] > started - 1.0:
                if trouble["code"] == NO_COMMITS and row["url"] == url:
                    return {**row, "revision": ""}
                raise _read_error(name, trouble)
            if row["revision"] and row["url"] == url and (not branch or row["branch"] == branch):
                return row
        time.sleep(0.2)
    raise Retryable(
        f"source {name}: nothing was read from {url} within {READ_TIMEOUT:g} s",
        code="source-unreachable",
        hint=_where_to_look(mesh),
    )


def _read_error(name: str, trouble: dict[str, Any]) -> CloudBuilderError:
    """Returns Rejected for a branch that does not exist; Retryable for an error that can be temporary."""
    message = str(trouble["message"]).removeprefix(f"source {name}: ")
    kind = Rejected if trouble["code"] == "unknown-ref" else Retryable
    return kind(f"source {name}: {message}", code=trouble["code"], hint=trouble["hint"])


def _where_to_look(mesh: Session) -> str:
    from cloud_builder.wiring.rundir import log_file, running_mesh

    home = mesh.settings.home
    if running_mesh(home) is not None:
        return f"cb-request goes on trying; the cause is in {log_file(home, 'request')}."
    return "cb-request goes on trying; the cause is in its log."


def no_answer_from_request(mesh: Session) -> CloudBuilderError:
    from cloud_builder.wiring.rundir import log_file, running_mesh

    home = mesh.settings.home
    where = f"; see {log_file(home, 'request')}" if running_mesh(home) is not None else ""
    return Retryable(
        "cb-request does not answer", code="no-cb-request", hint=f"Check that cb-request is running{where}."
    )


def absolute_url(url: str) -> str:
    """Returns a path on this machine as an absolute path, because cb-request runs in another directory."""
    return str(Path(url).expanduser().resolve()) if is_path(url) else url


def is_path(url: str) -> bool:
    """True for a path; False for a URL or `host:path`, as git distinguishes them."""
    return "://" not in url and (":" not in url or Path(url).exists())


def read_line(source: dict[str, Any]) -> str:
    """Returns what cb-request has read of a source."""
    if not source["revision"]:
        return "followed; it has no commits yet, and its first push is built"
    return f"{source['units']} units at {source['revision'][:12]} on {source['branch']}"


def problem_line(problem: dict[str, Any]) -> str:
    where = ":".join(str(part) for part in (problem.get("file") or problem.get("path"), problem.get("line")) if part)
    hint = f" ({problem['hint']})" if problem.get("hint") else ""
    return f"{where}: {problem['message']}{hint}"
