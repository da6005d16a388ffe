"""Following a request: a line a job, live on a terminal, else a line a change; at the end, where to fetch what."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from cloud_builder.errors import Retryable
from cloud_builder.model.text import compact_duration, first_line

from .output import coloured, fit, is_terminal, show_json, styled
from .request_poller import Job, RequestPoller, RequestView, whole_jobs
from .request_summary import exit_code, show_summary, state_of
from .session import Session

if TYPE_CHECKING:
    from rich.table import Table

INTERVAL = 0.4
"""Seconds between questions; more when an answer takes long, so that watching never is most of what cb-info does."""
ANSWER_TIMEOUT = 60.0
"""cb-info may be silent for so long (it is being restarted, the broker is away)."""
QUIET_AFTER = 10.0
"""When nothing has been heard for so long, say what is being waited for."""


def follow(mesh: Session, name: str, timeout: float | None) -> int:
    """Shows a request until it ends; the exit code of its outcome. Retryable(code="timeout") after `timeout` s."""
    deadline = time.monotonic() + timeout if timeout else None
    courses = _courses(mesh, name, deadline)
    if mesh.json:
        last = _last(courses)
        show_json({"request": last.request, "jobs": whole_jobs(mesh, "changes", last.request["request_id"])})
        return exit_code(last.request)
    last = _live(courses) if is_terminal() else _lines(courses)
    show_summary(mesh, last.request, last.jobs)
    return exit_code(last.request)


def _courses(mesh: Session, name: str, deadline: float | None) -> Iterator[RequestView]:
    follower, heard = RequestPoller(mesh, name), time.monotonic()
    while True:
        asked = time.monotonic()
        try:
            course = follower.poll()
            heard = time.monotonic()
            yield course
            if course.is_over:
                return
        except Retryable:
            if time.monotonic() - heard > ANSWER_TIMEOUT:
                raise
        if deadline and time.monotonic() > deadline:
            hint = f"It goes on: cb-ctl watch {name}, or cb-ctl cancel {name}."
            raise Retryable(f"request {name}: not finished in time", code="timeout", hint=hint)
        time.sleep(max(INTERVAL, 4 * (time.monotonic() - asked)))


def _last(courses: Iterator[RequestView]) -> RequestView:
    last: RequestView | None = None
    for course in courses:
        last = course
    assert last is not None
    return last


def _lines(courses: Iterator[RequestView]) -> RequestView:
    """For logs and pipes: a line when something changes, and one now and then when nothing does."""
    shown: dict[str, str] = {}
    last: RequestView | None = None
    spoke = time.monotonic()
    for course in courses:
        last = course
        for job in course.changed:
            change = f"{state_of(job)} {job.get('runner_id') or ''} {job.get('attempt') or ''}"
            if shown.get(job["job_id"]) != change:
                shown[job["job_id"]] = change
                click.echo(_plain(job, course.request))
                spoke = time.monotonic()
        if not course.jobs and time.monotonic() - spoke > QUIET_AFTER and not course.is_over:
            click.echo("waiting for cb-scheduler, which has not planned any job yet (is it running? cb-ctl status)")
            spoke = time.monotonic() + QUIET_AFTER
    assert last is not None
    return last


def _plain(job: Job, request: dict[str, Any]) -> str:
    since = compact_duration((job.get("at") or 0) - (request.get("accepted_at") or job.get("at") or 0))
    words = [f"{since:>6}", f"{state_of(job):9}", job["unit"], job["target"], job.get("runner_id") or "", remark(job)]
    return "  ".join(word for word in words if word.strip())


def remark(job: Job) -> str:
    """What there is to say of a job's state: why it waits, what it does, how it ended."""
    if job.get("outcome"):
        return first_line(job.get("message"))
    if job["state"] == "blocked":
        units = [unit for unit in job.get("waiting_units") or [] if unit != job["unit"]]
        waiting = ", ".join(units) or ("" if job.get("reason") else ", ".join(job.get("waiting_for") or []))
        return f"waits for {waiting}" if waiting else str(job.get("reason") or "")
    return str(job.get("reason") or job.get("last_line") or "")


def _live(courses: Iterator[RequestView]) -> RequestView:
    """For terminals: a table that stays in place."""
    from rich.console import Console
    from rich.live import Live

    last: RequestView | None = None
    with Live(console=Console(highlight=False), auto_refresh=False, vertical_overflow="ellipsis") as live:
        for course in courses:
            last = course
            room = live.console.width, live.console.height - 3
            live.update(table(course, time.time(), *room), refresh=True)
    assert last is not None
    return last


def table(course: RequestView, now: float, width: int, height: int) -> Table:
    """As many jobs as there is room for, those that something happens to first. Remarks are cut, and a target that
    all have is left out, before anything else gives way."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, show_header=False)
    jobs = course.jobs if len(course.jobs) <= height else _liveliest(course.jobs)[: max(1, height - 1)]
    rows = [_cells(job, now, several=len({job["target"] for job in jobs}) > 1) for job in jobs]
    widths = fit([max(len(row[at]) for row in rows) for at in range(len(rows[0]))], [-1], width) if rows else []
    for row in rows:
        words = Text(row[-1], style="dim")
        words.truncate(widths[-1], overflow="ellipsis")
        shown.add_row(coloured(row[0]), *row[1:-1], words)
    hidden = len(course.jobs) - len(jobs)
    if hidden or not jobs:
        word = f"and {hidden} more jobs" if hidden else "waiting for cb-scheduler"
        shown.add_row(Text("…", style="dim"), Text(word, style="dim"))
    return shown


def _cells(job: Job, now: float, *, several: bool) -> list[str]:
    target = [job["target"]] if several else []
    return [state_of(job), job["unit"], *target, job.get("runner_id") or "", _elapsed(job, now), remark(job)]


_ORDER = ("running", "assigned", "failure", "error", "queued", "blocked")


def _liveliest(jobs: list[Job]) -> list[Job]:
    return sorted(jobs, key=lambda job: _ORDER.index(state_of(job)) if state_of(job) in _ORDER else len(_ORDER))


def _elapsed(job: Job, now: float) -> str:
    started = job.get("started_at")
    if not started:
        return ""
    return compact_duration((job.get("finished_at") or now) - started)


def job_line(job: Job) -> str:
    return f"{styled(state_of(job))}  {job['job_id']}  {job['unit']}  {job['target']}  {remark(job)}".rstrip()
