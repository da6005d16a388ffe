"""Prints the end of a request: its outcome, why jobs failed, and how to get the packages and files."""

from __future__ import annotations

from typing import Any

import click

from cloud_builder.errors import CloudBuilderError, ExitCode
from cloud_builder.model.outcome import UNCHANGED, Outcome, is_good
from cloud_builder.model.text import compact_duration, first_few, first_few_lines

from .download import log_tail
from .output import painted, styled
from .session import Session

MAX_FAILURES = 3
"""Failed jobs that are shown with their message and log."""
MAX_NAMES = 50
"""Failed units that are named after these."""
MAX_PUBLISHED = 20
"""Lines about published versions, about removed packages, and of notes."""
MAX_HELD = 5
"""Held builds that are shown with their reason."""
MAX_LOG_LINES = 15
SELF_EXPLANATORY_STEPS = ("fetch", "source", "dependencies")
"""Steps whose error messages name the cause; the last lines of the log add nothing."""

_CODES = {
    "success": ExitCode.SUCCESS,
    "failure": ExitCode.FAILED,
    "rejected": ExitCode.REJECTED,
    "canceled": ExitCode.FAILED,
    "superseded": ExitCode.FAILED,
    "error": ExitCode.INFRASTRUCTURE,
}


def state_of(job: dict[str, Any]) -> str:
    """Returns a job's state or outcome. A job that was skipped because nothing had changed is `unchanged`."""
    if job.get("outcome") == Outcome.SKIPPED and job.get("code") == UNCHANGED:
        return UNCHANGED
    return str(job.get("outcome") or job["state"])


def unit_name(job: dict[str, Any]) -> str:
    """Returns a job's unit, with the round of its dependency cycle, its build profiles and its build options."""
    words = [f"round {job['round']}"] if job.get("round") else []
    words += [*(job.get("profiles") or ()), *(job.get("build_options") or ())]
    return f"{job['unit']} ({', '.join(words)})" if words else str(job["unit"])


def exit_code(request: dict[str, Any]) -> ExitCode:
    """Returns the exit code for the outcome of a request or a job."""
    return _CODES.get(str(request.get("outcome")), ExitCode.INFRASTRUCTURE)


def show_summary(mesh: Session, request: dict[str, Any], jobs: list[dict[str, Any]]) -> None:
    outcome = str(request.get("outcome"))
    took = compact_duration((request.get("finished_at") or 0) - (request.get("accepted_at") or 0))
    click.echo(f"\n{request['request_id']}: {styled(outcome)} after {took}{_counts(jobs)}{_saved(request)}")
    failed = _distinct_failures([job for job in jobs if job.get("outcome") in ("failure", "error")])
    for text in (request.get("message"), request.get("hint")) if not failed else ():
        for line in str(text or "").splitlines():
            click.echo(f"  {line}", err=outcome != "success")
    for job in failed[:MAX_FAILURES]:
        _show_failure(mesh, job)
    if further := failed[MAX_FAILURES:]:
        _name_failures(request, further)
    for line in published_lines(request, jobs):
        click.echo(f"  {line}")
    repositories = request.get("repositories") or []
    for repository in repositories:
        _show_repository(repository)
    if repositories:
        names = {repository["repository"] for repository in repositories}
        show_warnings([row for row in mesh.pages("repositories") if row["repository"] in names])
    _show_held(request)
    if any(is_good(str(job.get("outcome")), str(job.get("code"))) for job in jobs):
        click.echo(f"  files:      cb-ctl get {request['request_id']} -o DIR")


def _counts(jobs: list[dict[str, Any]]) -> str:
    numbers: dict[str, int] = {}
    for job in jobs:
        state = state_of(job)
        numbers[state] = numbers.get(state, 0) + 1
    counts = ", ".join(f"{number} {name}" for name, number in numbers.items())
    return f" ({counts})" if counts else ""


def _saved(request: dict[str, Any]) -> str:
    """Returns the time that building the reused and unchanged jobs would have taken."""
    saved = (request.get("summary") or {}).get("saved") or 0.0
    return f", saved {compact_duration(saved)}" if saved >= 1 else ""


def _distinct_failures(failed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the jobs that were built and failed, then one of each cause for which jobs were not built (a cycle)."""
    built = [job for job in failed if job.get("attempt")]
    causes = {job.get("message"): job for job in reversed(failed) if not job.get("attempt")}
    return [*built, *reversed(causes.values())]


def _show_failure(mesh: Session, job: dict[str, Any]) -> None:
    step = f" in step {job['step']}" if job.get("step") else ""
    click.echo(f"\n{unit_name(job)} {job['target']}: {styled(str(job['outcome']))}{step}", err=True)
    message = str(job.get("message") or "").splitlines()
    for line in [*message, *str(job.get("hint") or "").splitlines()]:
        click.echo(f"  {line}", err=True)
    if not job.get("attempt"):
        return
    for line in _last_lines(mesh, job) if len(message) < 2 and job.get("step") not in SELF_EXPLANATORY_STEPS else ():
        click.echo(f"  | {line}", err=True)
    click.echo(f"  whole log:  cb-ctl logs {job['job_id']}", err=True)


def published_lines(request: dict[str, Any], jobs: list[dict[str, Any]]) -> list[str]:
    """Returns which versions the request has published, which packages it has removed, and what a person should know.

    Held builds are left out. A unit with the same version for several targets is one line; one whose version stays is
    left out unless it was built."""
    published: dict[str, None] = {}
    held = {(build["unit"], build["target"]) for build in request.get("held") or ()}
    for job in jobs:
        if (job["unit"], job.get("target")) in held:
            continue
        after, before = str(job.get("source_version") or ""), str(job.get("replaced_version") or "")
        if not (after and job.get("publish") and is_good(str(job.get("outcome")), str(job.get("code")))):
            continue
        if before == after and job["outcome"] == Outcome.SUCCESS:
            published[f"{job['unit']} {after} (as before)"] = None
        elif before != after:
            published[f"{job['unit']} {before} → {after}" if before else f"{job['unit']} {after} (new)"] = None
    removed = [package for row in request.get("repositories") or [] for package in row.get("removed") or []]
    notes = dict.fromkeys(f"{job['unit']}: {note}" for job in jobs for note in job.get("notes") or ())
    return [*_labelled("published", [*published]), *_labelled("removed", removed), *_labelled("note", [*notes])]


def _labelled(label: str, lines: list[str]) -> list[str]:
    shown = first_few_lines(lines, MAX_PUBLISHED)
    return [f"{label + ':' if number == 0 else '':11} {line}" for number, line in enumerate(shown)]


def _name_failures(request: dict[str, Any], failed: list[dict[str, Any]]) -> None:
    """Names the failed jobs that are not shown, each unit once."""
    units = list(dict.fromkeys(job["unit"] for job in failed))
    names = first_few(units, MAX_NAMES)
    click.echo(f"\nand {len(failed)} more: {names} (cb-ctl status {request['request_id']})", err=True)


def _last_lines(mesh: Session, job: dict[str, Any]) -> list[str]:
    """Returns the end of a job's log, or why it cannot be read."""
    try:
        return log_tail(mesh, job["job_id"], MAX_LOG_LINES)
    except CloudBuilderError as unread:
        return [f"(the log cannot be read: {unread.message})"]


def _show_repository(repository: dict[str, Any]) -> None:
    """Prints a repository and the commands to install from it."""
    url = str(repository["url"]).rstrip("/")
    click.echo(f"  repository: {url}")
    for line in apt_lines(str(repository["repository"]), url):
        click.echo(f"    {line}")


def show_warnings(rows: list[dict[str, Any]]) -> None:
    """Prints what the collector found for a person to check in these repositories."""
    for row in rows:
        for warning in row.get("warnings") or []:
            click.echo(f"  {painted('warning', 'yellow')}:    {row['repository']}: {warning}", err=True)


def _show_held(request: dict[str, Any]) -> None:
    """Prints the builds whose packages are not published yet."""
    held = request.get("held") or []
    for build in held[:MAX_HELD]:
        packages = ", ".join(build["packages"])
        click.echo(f"  held back:  {packages} of {build['unit']} for {build['target']}: {build['reason']}", err=True)
    further = len(held[MAX_HELD:]) + (request.get("more_held") or 0)
    if further:
        click.echo(f"              and {further} more builds: cb-ctl why {request['request_id']}", err=True)


def apt_lines(name: str, url: str) -> list[str]:
    """Returns the commands that add a repository to apt."""
    files = {"sources": "sources.list.d", "pref": "preferences.d"}
    lines = [f"sudo curl -fsSo /etc/apt/{files[end]}/{name}.{end} {url}/{name}.{end}" for end in files]
    return [*lines, "sudo apt-get update"]
