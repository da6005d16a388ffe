"""`cb-ctl request`, `watch` and `cancel`: request builds, follow them to the end, cancel them."""

from __future__ import annotations

import time
from typing import Any

import click

from cloud_builder.errors import ExitCode, Rejected, Retryable
from cloud_builder.model.text import first_few

from .completers import REQUESTS
from .options import global_options
from .output import show_json
from .request_options import RequestSpec, build_requested, priority_options, requester, unit_options
from .session import Session, session
from .source import no_answer_from_request, problem_line

ACCEPT_TIMEOUT = 60.0
"""Seconds until cb-request must have accepted or rejected a request.

A busy machine reads a commit in ten seconds and more; cb-request itself gives up after a minute."""


@click.command()
@unit_options
@priority_options
@click.option("--id", "request_id", metavar="ID", help="Id of the request [default: a new one].")
@click.option("--watch", "watching", is_flag=True, help="Follow the request to its end.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="Stop watching after this time; the request goes on.",
)
@global_options
def request(*, request_id: str | None, watching: bool, timeout: float | None, **options: Any) -> int:
    """Request the build of UNITs (paths in the source), of --all units, or of those that changed --since a commit.

    `cb-ctl plan` with the same arguments shows what would be built, and why."""
    spec = RequestSpec(**options)
    with session() as mesh:
        requested = build_requested(mesh, spec, request_id=request_id)
        sent_at = time.time()
        mesh.send(requested)
        accepted = wait_until_accepted(mesh, requested.request_id or "", requested.source)
        if not mesh.json:
            click.echo(accepted_line(accepted, sent_at))
            for problem in () if watching or timeout else accepted.get("problems") or ():
                click.echo(f"  broken: {problem_line(problem)}", err=True)
        if watching or timeout:
            return watch_to_the_end(mesh, accepted["request_id"], timeout)
        if mesh.json:
            show_json(accepted)
        else:
            click.echo(f"  cb-ctl watch {accepted['request_id']}")
        return ExitCode.SUCCESS


@click.command()
@click.argument("request", required=False, shell_complete=REQUESTS)
@click.option("--all", "every", is_flag=True, help="Follow each request that runs, the oldest first.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1),
    metavar="SECONDS",
    help="Stop watching after this time; the request goes on.",
)
@global_options
def watch(request: str | None, every: bool, timeout: float | None) -> int:
    """Follow REQUEST to its end; the exit code is that of its outcome.

    Without REQUEST: the newest one that runs, else the newest one. With --all the exit code is the highest."""
    if request and every:
        raise click.UsageError("Give a REQUEST or --all, not both.")
    with session() as mesh:
        if every:
            return _watch_all(mesh, timeout)
        name = mesh.query("request", request=request)["request"]["request_id"] if request else _newest(mesh)
        return watch_to_the_end(mesh, name, timeout)


def _open_requests(mesh: Session) -> list[str]:
    """Returns the requests that have not finished, the newest first."""
    rows = [row for state in ("accepted", "running") for row in mesh.pages("requests", state=state)]
    return [row["request_id"] for row in sorted(rows, key=lambda row: -float(row.get("accepted_at") or 0))]


def _newest(mesh: Session) -> str:
    names = _open_requests(mesh)
    if len(names) > 1 and not mesh.json:
        others = first_few(names[1:], 5)
        click.echo(f"also running: {others} (cb-ctl watch --all)", err=True)
    names = names or [row["request_id"] for row in mesh.pages("requests", most=1)]
    if not names:
        raise Rejected("there are no requests yet", code="not-found", hint="cb-ctl request --all requests all units.")
    return str(names[0])


def _watch_all(mesh: Session, timeout: float | None) -> int:
    deadline = time.monotonic() + timeout if timeout else None
    names = _open_requests(mesh)
    if not names and not mesh.json:
        click.echo("no request is running", err=True)
    codes = []
    for name in reversed(names):
        if not mesh.json:
            click.echo(click.style(f"=== {name}", bold=True))
        left = max(0.1, deadline - time.monotonic()) if deadline else None
        codes.append(watch_to_the_end(mesh, name, left))
    return max(codes, default=ExitCode.SUCCESS)


@click.command()
@click.argument("request", shell_complete=REQUESTS)
@global_options
def cancel(request: str) -> None:
    """Cancel REQUEST: running builds are stopped, and no other job is started."""
    from cloud_builder.model.events import BuildCancelRequested

    with session() as mesh:
        found = mesh.query("request", request=request)["request"]
        name = found["request_id"]
        if found["state"] in ("finished", "rejected"):
            hint = f"`cb-ctl status {name}` shows how."
            raise Rejected(f"request {name} has already finished: {found['outcome']}", code="ended", hint=hint)
        mesh.send(BuildCancelRequested(request_id=name, requester=requester()))
        canceled = _wait_until_finished(mesh, name)
        if mesh.json:
            show_json(canceled)
        else:
            click.echo(f"{name}: {canceled.get('outcome') or 'being canceled'}")


def wait_until_accepted(mesh: Session, name: str, source: str) -> dict[str, Any]:
    """Returns the accepted request.

    Raises Rejected with the cause when it was rejected, Retryable when there was no answer in time."""
    deadline = time.monotonic() + ACCEPT_TIMEOUT
    while time.monotonic() < deadline:
        found = _find(mesh, name)
        if found and found["state"] == "rejected":
            raise Rejected(found["message"], code=found["code"], hint=found.get("hint", ""))
        if found and "accepted_at" in found:
            return found
        time.sleep(0.1)
    for row in mesh.pages("sources"):
        if row["source"] == source and (trouble := row.get("trouble")):
            hint = f"{trouble['hint']}\n  If it stays so for a minute, request {name} is rejected."
            raise Retryable(f"source {source} cannot be read: {trouble['message']}", code=trouble["code"], hint=hint)
    raise no_answer_from_request(mesh)


def _find(mesh: Session, name: str) -> dict[str, Any] | None:
    """Returns the request with this id; None as long as cb-info does not have it."""
    try:
        found: dict[str, Any] = mesh.query("request", request=name, most=1)["request"]
    except Rejected as unknown:
        if unknown.code == "not-found":
            return None
        raise
    return found if found["request_id"] == name else None


def _wait_until_finished(mesh: Session, name: str) -> dict[str, Any]:
    """Returns the finished request; after ACCEPT_TIMEOUT seconds, the request as it is."""
    deadline = time.monotonic() + ACCEPT_TIMEOUT
    found = _find(mesh, name) or {}
    while found.get("state") not in ("finished", "rejected") and time.monotonic() < deadline:
        time.sleep(0.2)
        found = _find(mesh, name) or {}
    return found


def accepted_line(found: dict[str, Any], sent_at: float) -> str:
    """Returns the line about an accepted request. One that is sent again under its id can have finished before."""
    had_finished = bool(found.get("finished_at")) and found["finished_at"] < sent_at
    word = f"already finished ({found['outcome']})" if had_finished else "accepted"
    units = found.get("units", [])
    names = ", ".join(units) if len(units) <= 3 else f"{found.get('unit_count', len(units))} units"
    names += " and the units that build-depend on them" if found.get("dependants") else ""
    where = f"{found['source']} {found['ref']} ({found['revision'][:12]})"
    return f"{found['request_id']}: {word}, {names} of {where}"


def watch_to_the_end(mesh: Session, name: str, timeout: float | None) -> int:
    from .watch import follow

    try:
        return follow(mesh, name, timeout)
    except KeyboardInterrupt:
        raise _interrupted(name) from None


def _interrupted(name: str) -> Exception:
    class Interrupted(Retryable):
        exit_code = ExitCode.INTERRUPTED

    hint = f"cb-ctl watch {name}    to follow it again\ncb-ctl cancel {name}   to cancel it"
    return Interrupted(f"interrupted; request {name} goes on", code="interrupted", hint=hint)
