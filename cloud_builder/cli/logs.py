"""`cb-ctl logs`: prints the log of a job: from the object store if the job has finished, else from cb-info."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import click

from cloud_builder.errors import ExitCode
from cloud_builder.model.outcome import is_good

from .completers import THINGS, target_option
from .download import object_bytes
from .log_view import LogView
from .options import global_options
from .output import show_json
from .request_summary import exit_code
from .session import Session, session
from .terminal import LogSanitizer

INTERVAL = 0.3
"""Seconds between two queries while a live log has no new bytes."""


STEPS = ("fetch", "source", "root", "dependencies", "unpack", "build", "collect", "test", "upload")
"""The steps of a build, for completion; a log may have others."""


def complete_step(ctx: click.Context, param: click.Parameter, prefix: str) -> list[str]:
    return [step for step in STEPS if step.startswith(prefix)]


@click.command()
@click.argument("job", metavar="JOB", shell_complete=THINGS)
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    help="Follow the log until the job has finished; the exit code is that of its outcome.",
)
@click.option(
    "--step",
    metavar="NAME",
    default="",
    shell_complete=complete_step,
    help="Only this step of the build: dependencies, build, test, …",
)
@click.option("--tail", type=click.IntRange(min=1), metavar="N", help="Only the last N lines; with -f, then follow.")
@click.option("--full", is_flag=True, help="Show the output of apt and KIWI line by line, too.")
@click.option("--raw", is_flag=True, help="Print every byte of the log, also control sequences.")
@target_option
@global_options
def logs(job: str, *, follow: bool, step: str, tail: int | None, full: bool, raw: bool, target: str) -> int:
    """Show the log of JOB: the id of a job, a unit (its newest job), or a request with a single job.

    Colours are kept. Other control sequences are left out, because a build can print anything. What apt and KIWI say
    while they install packages is shown as one line."""
    if raw and (step or tail):
        raise click.UsageError("--raw prints every byte; leave out --step and --tail.")
    with session() as mesh:
        name = mesh.query("job", job=job, target=target)["job_id"]
        if mesh.json and not (step or tail):
            show_json(mesh.query("log", job=name))
            return ExitCode.SUCCESS
        view = LogView(step, tail or 0, collapse_apt=not (full or raw))
        if mesh.json:
            lines: list[str] = []
            code = _show(mesh, name, follow, LogOutput(view, None, lines.append))
            show_json({"job_id": name, "lines": lines})
            return code
        return _show(mesh, name, follow, LogOutput(None if raw else view, None if raw else LogSanitizer()))


class LogOutput:
    """The way of a log to the terminal: through a view of its lines, without control sequences.

    `emit`: gets each line; None: stdout."""

    def __init__(
        self, view: LogView | None, sanitizer: LogSanitizer | None, emit: Callable[[str], None] | None = None
    ) -> None:
        self._view, self._sanitizer, self._emit = view, sanitizer, emit

    def write(self, data: bytes) -> None:
        self._write(self._view.feed(data) if self._view else data)

    def catch_up(self) -> None:
        """Prints what `--tail` has held back: the end of the log so far was read."""
        self._write(self._view.catch_up() if self._view else b"")

    def end(self) -> None:
        """Prints the rest. Rejected when the log does not have the step."""
        self._write(self._view.end() if self._view else b"")
        self._write(b"", self._sanitizer.end() if self._sanitizer else b"")
        if self._view is not None:
            self._view.check_step()

    def _write(self, data: bytes, last: bytes = b"") -> None:
        if self._emit is not None:
            for line in data.decode(errors="replace").splitlines():
                self._emit(line)
            return
        sys.stdout.buffer.write((self._sanitizer.feed(data) if self._sanitizer else data) + last)
        sys.stdout.buffer.flush()


def _show(mesh: Session, job: str, follow: bool, shown: LogOutput) -> int:
    offset, attempt = 0, 0
    while True:
        chunk = mesh.query("log", job=job, offset=offset, attempt=attempt)
        if chunk["log"] and chunk["log"]["url"] and chunk["done"]:
            is_same = attempt in (0, chunk["job"].get("attempt"))
            for data in object_bytes(chunk["log"], offset if is_same else 0):
                shown.write(data)
            shown.end()
            return _exit_code_of(chunk["job"], follow)
        if chunk["text"]:
            _report_gap(chunk, offset, attempt)
            shown.write(chunk["text"].encode())
            offset, attempt = chunk["next"], chunk["attempt"]
        elif chunk["done"] or not follow:
            shown.end()
            _report_if_empty(chunk, offset)
            return _exit_code_of(chunk["job"], follow)
        else:
            shown.catch_up()
            time.sleep(INTERVAL)


def _report_gap(chunk: dict[str, Any], offset: int, attempt: int) -> None:
    if attempt and chunk["attempt"] != attempt:
        click.echo(f"--- attempt {chunk['attempt']} ---", err=True)
    elif chunk["offset"] > offset:
        click.echo(f"--- {chunk['offset'] - offset} bytes are not shown live; they are in the whole log ---", err=True)


def _report_if_empty(chunk: dict[str, Any], offset: int) -> None:
    if offset == 0:
        job = chunk["job"]
        click.echo(f"{job['job_id']}: no log yet ({job.get('outcome') or job['state']})", err=True)


def _exit_code_of(job: dict[str, Any], follow: bool) -> int:
    if not follow:
        return ExitCode.SUCCESS
    good = is_good(str(job.get("outcome")), str(job.get("code")))
    return ExitCode.SUCCESS if good else exit_code(job)
