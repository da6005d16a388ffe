"""`cb-ctl request`, `watch` and `cancel`: a wish, its course, its end."""

from __future__ import annotations

import secrets
import time
from typing import Any

import click

from cloud_builder.errors import ExitCode, Rejected, Retryable

from .complete import REQUESTS, SOURCES, UNITS
from .options import global_options
from .output import show_json
from .session import Session, session
from .source import silent_request

ACCEPTED_WITHIN = 15.0
"""Seconds until cb-request must have said something."""
LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


@click.command()
@click.argument("units", nargs=-1, metavar="[UNIT]…", shell_complete=UNITS)
@click.option("--all", "every", is_flag=True, help="Every unit of the source.")
@click.option("--source", metavar="NAME", shell_complete=SOURCES, help="The git repository [the only one].")
@click.option("--ref", default="", metavar="REF", help="Branch, tag or commit [the branch the source follows].")
@click.option("--target", "targets", multiple=True, metavar="DIST.ARCH", help="Only this target; may be repeated.")
@click.option("--id", "wanted_id", metavar="ID", help="The request's id [made up].")
@click.option("--watch", "watching", is_flag=True, help="Follow it to its end.")
@click.option("--timeout", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Stop watching after this time.")
@global_options
def request(
    *,
    units: tuple[str, ...],
    every: bool,
    source: str | None,
    ref: str,
    targets: tuple[str, ...],
    wanted_id: str | None,
    watching: bool,
    timeout: float | None,
) -> int:
    """Ask for UNITs (their paths in the source) to be built, or --all of them."""
    if bool(units) == every:
        raise click.UsageError("Name the units to build, or say --all (one of the two).")
    with session() as mesh:
        wish = _wish(mesh, units=units, every=every, source=source, ref=ref, targets=targets, wanted_id=wanted_id)
        asked = time.time()
        mesh.send(wish)
        answer = _answered(mesh, wish.request_id or "", wish.source)
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
        mesh.send(BuildCancelRequested(request_id=name, requester=_requester()))
        ended = _ended(mesh, name)
        if mesh.json:
            show_json(ended)
        else:
            click.echo(f"{name}: {ended.get('outcome') or 'being canceled'}")


def _wish(
    mesh: Session,
    *,
    units: tuple[str, ...],
    every: bool,
    source: str | None,
    ref: str,
    targets: tuple[str, ...],
    wanted_id: str | None,
) -> Any:
    import re

    from cloud_builder.model.events import REQUEST_ID, BuildRequested
    from cloud_builder.model.ids import RequestId, SourceName

    if wanted_id is not None and not re.match(REQUEST_ID, wanted_id):
        hint = "Letters, digits, '.', '_' and '-'; it begins with a letter or digit; at most 100 characters."
        raise Rejected(f"request id {wanted_id!r}: cannot be one", code="bad-request-id", hint=hint)
    return BuildRequested(
        source=SourceName(source or _only_source(mesh)),
        units=tuple(unit.strip("/") for unit in units),
        all=every,
        ref=ref,
        targets=targets,
        request_id=RequestId(wanted_id or "r-" + "".join(secrets.choice(LETTERS) for _ in range(6))),
        requester=_requester(),
    )


def _only_source(mesh: Session) -> str:
    names = [str(row["source"]) for row in mesh.pages("sources")]
    if len(names) == 1:
        return names[0]
    if not names:
        raise Rejected("there is no source yet", code="unknown-source", hint="Add one: cb-ctl source add NAME URL")
    raise Rejected("more than one source", code="which-source", hint=f"Say --source {' or --source '.join(names)}.")


def _requester() -> str:
    import getpass
    import socket

    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):
        return socket.gethostname()


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
    what = ", ".join(units) if len(units) <= 3 else f"{len(units)} units"
    where = f"{found['source']} {found['ref']} ({found['revision'][:12]})"
    return f"{found['request_id']}: {word}, {what} of {where}"


def _watch(mesh: Session, name: str, timeout: float | None) -> int:
    from .watching import follow

    try:
        return follow(mesh, name, timeout)
    except KeyboardInterrupt:
        raise _interrupted(name) from None


def _interrupted(name: str) -> Exception:
    class Interrupted(Retryable):
        exit_code = ExitCode.INTERRUPTED

    hint = f"cb-ctl watch {name}    to see it again\ncb-ctl cancel {name}   to stop it"
    return Interrupted(f"interrupted; request {name} goes on", code="interrupted", hint=hint)
