"""`cb-ctl logs`: prints the log of a job: from the object store if the job has finished, else from cb-info."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from cloud_builder.errors import ExitCode
from cloud_builder.model.outcome import is_good

from .completers import THINGS
from .download import object_bytes
from .options import global_options
from .output import show_json
from .request_summary import exit_code
from .session import Session, session
from .terminal import LogSanitizer

INTERVAL = 0.3
"""Seconds between two queries while a live log has no new bytes."""


@click.command()
@click.argument("job", metavar="JOB", shell_complete=THINGS)
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    help="Follow the log until the job has finished; the exit code is that of its outcome.",
)
@click.option("--raw", is_flag=True, help="Print every byte of the log, also control sequences.")
@global_options
def logs(job: str, follow: bool, raw: bool) -> int:
    """Show the log of JOB: the id of a job, a unit (its newest job), or a request with a single job.

    Colours are kept. Other control sequences are left out, because a build can print anything."""
    with session() as mesh:
        name = mesh.query("job", job=job)["job_id"]
        if mesh.json:
            show_json(mesh.query("log", job=name))
            return ExitCode.SUCCESS
        shown = None if raw else LogSanitizer()
        try:
            return _show(mesh, name, follow, shown)
        finally:
            _write(shown.end() if shown else b"", None)


def _show(mesh: Session, job: str, follow: bool, shown: LogSanitizer | None) -> int:
    offset, attempt = 0, 0
    while True:
        chunk = mesh.query("log", job=job, offset=offset, attempt=attempt)
        if chunk["log"] and chunk["log"]["url"] and chunk["done"]:
            is_same = attempt in (0, chunk["job"].get("attempt"))
            _write_whole(chunk["log"], offset if is_same else 0, shown)
            return _exit_code_of(chunk["job"], follow)
        if chunk["text"]:
            _report_gap(chunk, offset, attempt)
            _write(chunk["text"].encode(), shown)
            offset, attempt = chunk["next"], chunk["attempt"]
        elif chunk["done"] or not follow:
            _report_if_empty(chunk, offset)
            return _exit_code_of(chunk["job"], follow)
        else:
            time.sleep(INTERVAL)


def _write_whole(log: dict[str, Any], offset: int, shown: LogSanitizer | None) -> None:
    for chunk in object_bytes(log, offset):
        _write(chunk, shown)


def _write(data: bytes, shown: LogSanitizer | None) -> None:
    sys.stdout.buffer.write(shown.feed(data) if shown else data)
    sys.stdout.buffer.flush()


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
