"""`cb-ctl request`, `watch` and `cancel`: a wish, its course, its end."""

from __future__ import annotations

import time
from typing import Any

import click

from cloud_builder.errors import ExitCode, Rejected, Retryable

from .completers import REQUESTS
from .options import global_options
from .output import show_json
from .request_options import RequestSpec, build_requested, priority_options, requester, unit_options
from .session import Session, session
from .source import silent_request

ACCEPTED_WITHIN = 60.0
"""Seconds. A busy machine reads a commit in ten seconds and more; cb-request itself gives up after a minute."""
"""Seconds until cb-request must have said something."""


@click.command()
@unit_options
@priority_options
@click.option("--id", "wanted_id", metavar="ID", help="The request's id [made up].")
@click.option("--watch", "watching", is_flag=True, help="Follow it to its end.")
@click.option("--timeout", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Stop watching after this time.")
@global_options
def request(*, wanted_id: str | None, watching: bool, timeout: float | None, **said: Any) -> int:
    """Ask for UNITs (their paths in the source) to be built, or --all of them, or what changed --since a commit.

    `cb-ctl plan` with the same words says what would be built, and why."""
    words = RequestSpec(**said)
    with session() as mesh:
        wanted = build_requested(mesh, words, wanted_id=wanted_id)
        asked = time.time()
        mesh.send(wanted)
        answer = _answered(mesh, wanted.request_id or "", wanted.source)
        if not mesh.json:
            click.echo(_accepted_line(answer, asked))
        if watching or timeout:
            return _watch(mesh, answer["request_id"], timeout)
        if mesh.json:
            show_json(answer)
        else:
            click.echo(f"  cb-ctl watch {answer['request_id']}")
        return ExitCode.SUCCESS


@click.command()
@click.argument("request", shell_complete=REQUESTS)
@click.option("--timeout", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Stop watching after this time.")
@global_options
def watch(request: str, timeout: float | None) -> int:
    """Follow REQUEST to its end; the exit code tells how it ended."""
    with session() as mesh:
        found = mesh.ask("request", request=request)["request"]
        return _watch(mesh, found["request_id"], timeout)


@click.command()
@click.argument("request", shell_complete=REQUESTS)
@global_options
def cancel(request: str) -> None:
    """Stop REQUEST: nothing more of it is started, what runs is ended."""
    from cloud_builder.model.events import BuildCancelRequested

    with session() as mesh:
        found = mesh.ask("request", request=request)["request"]
        name = found["request_id"]
        if found["state"] in ("finished", "rejected"):
            raise Rejected(f"request {name} has ended already: {found['outcome']}", code="ended")
        mesh.send(BuildCancelRequested(request_id=name, requester=requester()))
        ended = _ended(mesh, name)
        if mesh.json:
            show_json(ended)
        else:
            click.echo(f"{name}: {ended.get('outcome') or 'being canceled'}")


def _answered(mesh: Session, name: str, source: str) -> dict[str, Any]:
    """The request as accepted; Rejected with its cause when it was not, Retryable when nobody could tell."""
    deadline = time.monotonic() + ACCEPTED_WITHIN
    while time.monotonic() < deadline:
        found = _known(mesh, name)
        if found and found["state"] == "rejected":
            raise Rejected(found["message"], code=found["code"], hint=found.get("hint", ""))
        if found and "accepted_at" in found:
            return found
        time.sleep(0.1)
    for row in mesh.pages("sources"):
        if row["source"] == source and (trouble := row.get("trouble")):
            hint = f"{trouble['hint']}\n  Request {name} is rejected when the source stays silent for a minute."
            raise Retryable(f"source {source} cannot be read: {trouble['message']}", code=trouble["code"], hint=hint)
    raise silent_request(mesh)


def _known(mesh: Session, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = mesh.ask("request", request=name, most=1)["request"]
    except Rejected as unknown:
        if unknown.code == "not-found":
            return None
        raise
    return found if found["request_id"] == name else None


def _ended(mesh: Session, name: str) -> dict[str, Any]:
    deadline = time.monotonic() + ACCEPTED_WITHIN
    found = _known(mesh, name) or {}
    while found.get("state") not in ("finished", "rejected") and time.monotonic() < deadline:
        time.sleep(0.2)
        found = _known(mesh, name) or {}
    return found


def _accepted_line(found: dict[str, Any], asked: float) -> str:
    """The same wish under the same id is the same request: it may be over already."""
    is_over = bool(found.get("finished_at")) and found["finished_at"] < asked
    word = f"known already, {found['outcome']}" if is_over else "accepted"
    units = found.get("units", [])
    what = ", ".join(units) if len(units) <= 3 else f"{found.get('unit_count', len(units))} units"
    what += " and what builds with them" if found.get("dependants") else ""
    where = f"{found['source']} {found['ref']} ({found['revision'][:12]})"
    return f"{found['request_id']}: {word}, {what} of {where}"


def _watch(mesh: Session, name: str, timeout: float | None) -> int:
    from .watch import follow

    try:
        return follow(mesh, name, timeout)
    except KeyboardInterrupt:
        raise _interrupted(name) from None


def _interrupted(name: str) -> Exception:
    class Interrupted(Retryable):
        exit_code = ExitCode.INTERRUPTED

    hint = f"cb-ctl watch {name}    to see it again\ncb-ctl cancel {name}   to stop it"
    return Interrupted(f"interrupted; request {name} goes on", code="interrupted", hint=hint)
