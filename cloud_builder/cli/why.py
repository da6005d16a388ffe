"""`cb-ctl why`: explains on one screen why a job, a request or a unit waits, is built, was not built, or failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click

from .completers import WHYS, target_option
from .log_excerpt import LogEnd, last_line, log_end
from .options import global_options
from .output import painted, show_json, styled
from .session import Session, session

Cause = dict[str, Any]

_LABEL = 10
_LOGGED = ("failed", "poison", "error")
"""Kinds of causes for which the log has details."""
_MAX_DETAILED = 3
"""Causes of a unit (one for each target) that are shown with their details."""


@click.command()
@click.argument("what", metavar="JOB|UNIT|REQUEST|REPOSITORY|PACKAGE", shell_complete=WHYS)
@target_option
@global_options
def why(what: str, target: str) -> None:
    """Explain why a JOB waits, is built, was not built, or failed.

    For a UNIT: its newest job of each target. For a REQUEST: what decides its end. The beginning of an id is enough.
    For a REPOSITORY: its builds that are held back, and the packages that stay although no unit makes them. For a
    PACKAGE: the same, or what its unit is built for.
    A failure is shown with the first line of the log that looks like the cause, and the last lines."""
    with session() as mesh:
        found = mesh.query("why", id=what, target=target)
        logs = {
            id(cause): read_log(mesh, cause["job_id"]) for cause, read_log in _logged(found["causes"][:_MAX_DETAILED])
        }
        if mesh.json:
            show_json({**found, "causes": [_with_log(cause, logs) for cause in found["causes"]]})
            return
        for number, cause in enumerate(found["causes"]):
            if number:
                click.echo()
            _show(cause, logs, whole=number < _MAX_DETAILED)


def _logged(causes: list[Cause]) -> Iterator[tuple[Cause, Callable[[Session, str], LogEnd]]]:
    """Yields the failed or running job at the end of each cause's chain, and the function that reads its log."""
    for cause in causes:
        deepest = list(_chain(cause))[-1]
        if deepest["job_id"] and deepest["kind"] in _LOGGED:
            yield deepest, log_end
        elif deepest["job_id"] and deepest["kind"] == "building":
            yield deepest, last_line


def _chain(cause: Cause) -> Iterator[Cause]:
    current: Cause | None = cause
    while current is not None:
        yield current
        current = current["root"]


def _with_log(cause: Cause, logs: dict[int, LogEnd]) -> Cause:
    root = _with_log(cause["root"], logs) if cause["root"] else None
    log = {"log": logs[id(cause)]} if id(cause) in logs else {}
    return {**cause, "root": root, **log}


def _show(cause: Cause, logs: dict[int, LogEnd], *, whole: bool) -> None:
    click.echo(f"{_name(cause)}: {styled(cause['state'])}")
    click.echo(f"  {painted(cause['answer'], None, bold=True)}")
    if not whole:
        return
    _show_details(cause)
    chain = list(_chain(cause))
    deepest = chain[-1]
    if len(chain) > 1:
        click.echo(f"  {_name(deepest)}: {styled(deepest['state'])}")
        _show_details(deepest, without="request" if deepest["request_id"] == cause["request_id"] else "")
    if id(deepest) in logs:
        _show_log(logs[id(deepest)], deepest)
    if hint := cause["next"] or deepest["next"]:
        _line("next", hint)


def _name(cause: Cause) -> str:
    if not cause["job_id"]:
        unit = f"{cause['unit']} for {cause['target']}".removesuffix(" for ")
        return f"request {cause['request_id']}" if cause["request_id"] else unit
    return f"{cause['unit']} for {cause['target']} ({cause['job_id']})"


def _show_details(cause: Cause, without: str = "") -> None:
    """Prints the details, except a line that the answer contains, and the detail with the label `without`."""
    for detail in cause["details"]:
        lines = detail["lines"] if len(detail["lines"]) > 1 or detail["lines"][0] not in cause["answer"] else []
        for number, line in enumerate(lines if detail["label"] != without else []):
            _line("" if number else detail["label"], line)


def _show_log(log: LogEnd, cause: Cause) -> None:
    if log["unread"]:
        _line("log", f"cannot be read: {log['unread']}")
        return
    if log["cause"] and log["cause"] not in cause["answer"]:
        _line("cause", painted(log["cause"], "red"))
    for number, line in enumerate(log["last"]):
        _line("" if number else "log", f"| {line}")


def _line(label: str, text: str) -> None:
    click.echo(f"  {label:{_LABEL}} {text}".rstrip())
