"""`cb-ctl status`: shows an overview of the mesh, or one request or job in full."""

from __future__ import annotations

import re
import time
from typing import Any

import click

from cloud_builder.model.text import compact_duration, first_few, first_line, size

from .completers import THINGS, target_option
from .options import global_options
from .output import moment, show_json, show_table, styled
from .request_poller import RequestPoller, of_target
from .request_summary import published_lines, state_of, unit_name
from .session import Session, session
from .source import problem_line
from .watch import job_line

_MAX_BEHIND = 5
"""Units behind their branch that the overview names."""


@click.command()
@click.argument("what", required=False, metavar="[REQUEST|JOB]", shell_complete=THINGS)
@target_option
@global_options
def status(what: str | None, target: str) -> None:
    """Show the state of the mesh; or a REQUEST with its jobs; or a JOB with its attempts.

    The name of a unit means its newest job."""
    with session() as mesh:
        if what is None and target:
            raise click.UsageError("--target needs a REQUEST, JOB or unit.")
        if what is None:
            _overview(mesh)
            return
        found = mesh.query("resolve", id=what, target=target)
        (_request if found["kind"] == "request" else _job)(mesh, found["id"], target)


def _overview(mesh: Session) -> None:
    found = mesh.query("status")
    if mesh.json:
        show_json({"home": str(mesh.settings.home), "broker": mesh.settings.broker.bootstrap, **found})
        return
    kind = "embedded broker" if mesh.settings.broker.embedded else "Kafka"
    click.echo(f"mesh        {mesh.settings.home}, {kind} {mesh.settings.broker.bootstrap}")
    click.echo(f"sources     {found['sources']} with {found['units']} units")
    click.echo(f"runners     {_runners(found['runners'])}")
    for runner in (row for row in found["runners"] if row["state"] == "quarantined"):
        until = f"until {moment(runner['until'])}" if runner["until"] > time.time() else "until a probe job succeeds"
        click.echo(f"quarantine  {runner['runner_id']} {until}: {first_line(runner['reason'])}")
    click.echo(f"jobs        {', '.join(f'{number} {name}' for name, number in found['jobs'].items()) or 'none yet'}")
    for repository in found["repositories"]:
        failed = f" ({styled('failure')}: {repository['failed']})" if repository.get("failed") else ""
        click.echo(f"repository  {repository['repository']}: {repository.get('url', '')}{failed}")
    for line in _behind(found):
        click.echo(f"behind      {line}")
    if found["dead_letters"]:
        click.echo(f"letters     {found['dead_letters']} dead letters: cb-ctl dead-letter list")
    for problem in found["problems"]:
        click.echo(f"problem     {problem['source']}: {problem_line(problem)}")
    if found["newest"]:
        click.echo()
        show_requests(found["newest"])


def _behind(found: dict[str, Any]) -> list[str]:
    """Returns lines about the units whose published build is not of the head of their branch."""
    rows = found["behind"]
    lines = [
        f"{row['unit']} {row['target']}: {styled(str(row['outcome'] or 'never built'))}"
        + (f" ({row['job_id']})" if row["job_id"] else "")
        + (f", published is {', '.join(row['versions'])}" if row["versions"] else ", never published")
        for row in rows[:_MAX_BEHIND]
    ]
    more = found["behind_count"] - len(lines)
    return [*lines, *([f"and {more} more: cb-ctl list units --behind"] if more > 0 else [])]


def _runners(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "none (is cb-runner running?)"
    busy = {row["runner_id"]: len(row["attempts"]) for row in rows}
    return ", ".join(
        f"{row['runner_id']} {styled(row['state'])} {busy[row['runner_id']]}/{row['slots']}" for row in rows
    )


def show_requests(rows: list[dict[str, Any]], empty: str = "no requests yet") -> None:
    cells = [
        [
            row["request_id"],
            row.get("outcome") or row["state"],
            row["source"],
            _short_ref(row.get("ref") or ""),
            first_few(row.get("units") or [], 3, total=row.get("unit_count") or 0),
            moment(row.get("accepted_at")),
            compact_duration(row["finished_at"] - row["accepted_at"]) if row.get("finished_at") else "",
            first_line(row.get("message")),
        ]
        for row in rows
    ]
    show_table(["request", "state", "source", "ref", "units", "since", "took", ""], cells, empty=empty)


def _short_ref(ref: str) -> str:
    return ref[:12] if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", ref) else ref


def _request(mesh: Session, name: str, target: str) -> None:
    view = RequestPoller(mesh, name).poll()
    found, jobs = view.request, of_target(view.jobs, name, target)
    if mesh.json:
        show_json({"request": found, "jobs": jobs})
        return
    state = found.get("outcome") or found["state"]
    revision = (found.get("revision") or "")[:12]
    click.echo(f"{found['request_id']}  {styled(state)}  {found['source']} {found.get('ref', '')} {revision}".rstrip())
    click.echo(f"  {moment(found.get('accepted_at'))}, by {found.get('requester') or found.get('origin') or 'unknown'}")
    for field in ("message", "hint") if not jobs else ():
        for line in str(found.get(field) or "").splitlines():
            click.echo(f"  {line}")
    for job in jobs:
        click.echo(f"  {job_line(job)}")
    for line in published_lines(found, jobs) if found.get("finished_at") else ():
        click.echo(f"  {line}")
    for repository in found.get("repositories") or []:
        click.echo(f"  repository: {repository['url']}")


def _job(mesh: Session, name: str, target: str) -> None:
    job = mesh.query("job", job=name, target=target)
    if mesh.json:
        show_json(job)
        return
    click.echo(f"{styled(state_of(job))}  {job['job_id']}  {unit_name(job)}  {job['target']}")
    for label, value in _facts(job):
        if value:
            click.echo(f"  {label + ':':12} " + value.replace("\n", "\n" + " " * 15))
    for attempt in job["attempts"]:
        message = "" if attempt.get("message") == job.get("message") else first_line(attempt.get("message"))
        click.echo(f"  {'attempt ' + str(attempt['attempt']) + ':':12} {_attempt(attempt, message)}")
    for artifact in job["artifacts"]:
        click.echo(
            f"  {artifact['kind'] + ':':12} {artifact['name']} ({size(artifact['size'])}, {artifact['sha256'][:12]})"
        )
    click.echo(f"  log:         cb-ctl logs {job['job_id']}")


def _facts(job: dict[str, Any]) -> list[tuple[str, str]]:
    timings = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in (job.get("timings") or {}).items())
    return [
        ("message", str(job.get("message") or "")),
        ("next", str(job.get("hint") or "")),
        ("step", str(job.get("step") or "")),
        ("waits for", ", ".join(job.get("waiting_units") or job.get("waiting_for") or [])),
        ("version", _version(job)),
        ("note", "\n".join(job.get("notes") or ())),
        ("reused from", str(job.get("reused_from") or "")),
        ("revision", str(job.get("revision") or "")[:12]),
        ("timings", timings),
    ]


def _version(job: dict[str, Any]) -> str:
    after, before = str(job.get("source_version") or ""), str(job.get("replaced_version") or "")
    return f"{after}, replaces {before}" if after and before and after != before else after


def _attempt(attempt: dict[str, Any], message: str) -> str:
    outcome = attempt.get("outcome")
    took = compact_duration(attempt["finished_at"] - attempt["started_at"]) if attempt.get("finished_at") else "running"
    return "  ".join(word for word in (styled(outcome) if outcome else "", attempt["runner_id"], took, message) if word)
