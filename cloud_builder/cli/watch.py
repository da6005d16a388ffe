"""Follows a request: a live table of jobs on a terminal, a line for each change elsewhere, a summary at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from cloud_builder.errors import Retryable
from cloud_builder.model.text import compact_duration, first_line

from .output import coloured, fit, is_terminal, show_json, styled
from .request_poller import Job, RequestPoller, RequestView, whole_jobs
from .request_summary import exit_code, show_summary, state_of, unit_name
from .session import Session

if TYPE_CHECKING:
    from rich.table import Table

INTERVAL = 0.4
"""Seconds between two queries; more when an answer takes long, so that cb-info has time for other queries."""
ANSWER_TIMEOUT = 60.0
"""Seconds without an answer of cb-info after which watching ends. A restart of cb-info or the broker is shorter."""
QUIET_AFTER = 10.0
"""Seconds without a job after which a line names what is being waited for."""


def follow(mesh: Session, name: str, timeout: float | None) -> int:
    """Shows a request until it has finished; returns the exit code of its outcome.

    Raises Retryable(code="timeout") after `timeout` seconds."""
    views = _views(mesh, name, timeout)
    if mesh.json:
        last = _last(views)
        show_json({"request": last.request, "jobs": whole_jobs(mesh, "changes", last.request["request_id"])})
        return exit_code(last.request)
    last = _live(views) if is_terminal() else _lines(views)
    show_summary(mesh, last.request, last.jobs)
    return exit_code(last.request)


def _views(mesh: Session, name: str, timeout: float | None) -> Iterator[RequestView]:
    deadline = time.monotonic() + timeout if timeout else None
    poller, answered_at = RequestPoller(mesh, name), time.monotonic()
    while True:
        queried_at = time.monotonic()
        try:
            view = poller.poll()
            answered_at = time.monotonic()
            yield view
            if view.has_finished:
                return
        except Retryable:
            if time.monotonic() - answered_at > ANSWER_TIMEOUT:
                raise
        if deadline and time.monotonic() > deadline:
            hint = f"The request goes on. Follow it with `cb-ctl watch {name}`, or stop it with `cb-ctl cancel {name}`."
            raise Retryable(f"request {name} did not finish within {timeout:g} s", code="timeout", hint=hint)
        time.sleep(max(INTERVAL, 4 * (time.monotonic() - queried_at)))


def _last(views: Iterator[RequestView]) -> RequestView:
    last: RequestView | None = None
    for view in views:
        last = view
    assert last is not None
    return last


def _lines(views: Iterator[RequestView]) -> RequestView:
    """For logs and pipes: prints a line for each change, and what is being waited for while there is no job."""
    shown: dict[str, str] = {}
    last: RequestView | None = None
    printed_at = time.monotonic()
    for view in views:
        last = view
        for job in view.changed:
            change = f"{state_of(job)} {job.get('runner_id') or ''} {job.get('attempt') or ''}"
            if shown.get(job["job_id"]) != change:
                shown[job["job_id"]] = change
                click.echo(_line(job, view.request))
                printed_at = time.monotonic()
        if not view.jobs and time.monotonic() - printed_at > QUIET_AFTER and not view.has_finished:
            click.echo("waiting for cb-scheduler: no job is planned yet (is cb-scheduler running?)")
            printed_at = time.monotonic() + QUIET_AFTER
    assert last is not None
    return last


def _line(job: Job, request: dict[str, Any]) -> str:
    since = compact_duration((job.get("at") or 0) - (request.get("accepted_at") or job.get("at") or 0))
    runner = job.get("runner_id") or ""
    cells = [f"{since:>6}", f"{state_of(job):9}", unit_name(job), job["target"], runner, remark(job)]
    return "  ".join(cell for cell in cells if cell.strip())


def remark(job: Job) -> str:
    """Returns why a job waits, the last line of its log, or the first line of its message."""
    if job.get("outcome"):
        return first_line(job.get("message"))
    if job["state"] == "blocked":
        units = [unit for unit in job.get("waiting_units") or [] if unit != job["unit"]]
        waiting = ", ".join(units) or ("" if job.get("reason") else ", ".join(job.get("waiting_for") or []))
        return f"waits for {waiting}" if waiting else str(job.get("reason") or "")
    return str(job.get("reason") or job.get("last_line") or "")


def _live(views: Iterator[RequestView]) -> RequestView:
    """For terminals: a table that is updated in place."""
    from rich.console import Console
    from rich.live import Live

    last: RequestView | None = None
    with Live(console=Console(highlight=False), auto_refresh=False, vertical_overflow="ellipsis") as live:
        for view in views:
            last = view
            room = live.console.width, live.console.height - 3
            live.update(table(view, time.time(), *room), refresh=True)
    assert last is not None
    return last


def table(view: RequestView, now: float, width: int, height: int) -> Table:
    """Returns as many jobs as there is room for, active ones first.

    Leaves out a target that all jobs share, and shortens the remarks before any other column."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, show_header=False)
    jobs = view.jobs if len(view.jobs) <= height else _most_active(view.jobs)[: max(1, height - 1)]
    rows = [_cells(job, now, several=len({job["target"] for job in jobs}) > 1) for job in jobs]
    widths = fit([max(len(row[at]) for row in rows) for at in range(len(rows[0]))], [-1], width) if rows else []
    for row in rows:
        remark_text = Text(row[-1], style="dim")
        remark_text.truncate(widths[-1], overflow="ellipsis")
        shown.add_row(coloured(row[0]), *row[1:-1], remark_text)
    hidden = len(view.jobs) - len(jobs)
    if hidden or not jobs:
        word = f"and {hidden} more jobs" if hidden else "waiting for cb-scheduler"
        shown.add_row(Text("…", style="dim"), Text(word, style="dim"))
    return shown


def _cells(job: Job, now: float, *, several: bool) -> list[str]:
    target = [job["target"]] if several else []
    return [state_of(job), unit_name(job), *target, job.get("runner_id") or "", _elapsed(job, now), remark(job)]


_ORDER = ("running", "assigned", "failure", "error", "queued", "blocked")


def _most_active(jobs: list[Job]) -> list[Job]:
    return sorted(jobs, key=lambda job: _ORDER.index(state_of(job)) if state_of(job) in _ORDER else len(_ORDER))


def _elapsed(job: Job, now: float) -> str:
    started = job.get("started_at")
    if not started:
        return ""
    return compact_duration((job.get("finished_at") or now) - started)


def job_line(job: Job) -> str:
    return f"{styled(state_of(job))}  {job['job_id']}  {unit_name(job)}  {job['target']}  {remark(job)}".rstrip()
