"""`cb-ctl retry`: requests what failed or was canceled again, for the same commit or for the head of the branch."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from cloud_builder.errors import ExitCode, Rejected
from cloud_builder.model.outcome import UNCHANGED, Outcome
from cloud_builder.model.text import first_few

from .completers import THINGS, target_option
from .options import global_options
from .output import show_json
from .request import accepted_line, wait_until_accepted, watch_to_the_end
from .request_options import ID_LETTERS, requester
from .request_poller import Job, of_target, whole_jobs
from .session import Session, session

if TYPE_CHECKING:
    from cloud_builder.model.events import BuildRequested

_RETRIED = (Outcome.FAILURE, Outcome.ERROR, Outcome.CANCELED, Outcome.SKIPPED)


@dataclass
class RetrySpec:
    """The units to request again from one source.

    revision   the commit of the jobs
    targets    those that all of the units failed for
    variant    build profiles and options of the request, for units that it named
    """

    source: str
    revision: str
    targets: tuple[str, ...]
    variant: tuple[tuple[str, ...], tuple[str, ...]]
    units: list[str] = field(default_factory=list)


@click.command()
@click.argument("what", metavar="JOB|REQUEST", shell_complete=THINGS)
@target_option
@click.option("--head", is_flag=True, help="Build the head of the branch instead of the same commit.")
@click.option("--watch", "watching", is_flag=True, help="Follow the new request to its end.")
@global_options
def retry(what: str, target: str, head: bool, watching: bool) -> int:
    """Build the jobs of REQUEST that failed or were canceled again, and those that they kept from being built.

    For a JOB, or a unit (its newest job): this one. It is a new request for the same commit, with the same build
    profiles and options."""
    with session() as mesh:
        request, jobs = _unbuilt(mesh, what, target)
        specs = retry_specs(jobs, request)
        sent = [_requested(spec, request, head=head) for spec in specs]
        for requested in sent:
            mesh.send(requested)
        found = [wait_until_accepted(mesh, str(requested.request_id), requested.source) for requested in sent]
        if mesh.json and not watching:
            show_json(found)
            return ExitCode.SUCCESS
        for row, spec in zip(found, specs, strict=True) if not mesh.json else ():
            click.echo(accepted_line(row, 0.0))
            click.echo(f"  retried: {first_few(spec.units, 20)} ({', '.join(spec.targets)})")
            click.echo(f"  cb-ctl watch {row['request_id']}")
        codes = [watch_to_the_end(mesh, row["request_id"], None) for row in found] if watching else []
        return max(codes, default=ExitCode.SUCCESS)


def _unbuilt(mesh: Session, what: str, target: str) -> tuple[dict[str, Any], list[Job]]:
    """Returns a request and those of its jobs that are to be retried. Rejected when there are none."""
    found = mesh.query("resolve", id=what, target=target)
    if found["kind"] == "job":
        jobs = [mesh.query("job", job=found["id"], target=target)]
        request = mesh.query("request", request=jobs[0]["request_id"], most=1)["request"]
    else:
        request = mesh.query("request", request=found["id"], most=1)["request"]
        jobs = of_target(whole_jobs(mesh, "changes", found["id"]), found["id"], target)
    unbuilt = [job for job in jobs if job.get("outcome") in _RETRIED and job.get("code") != UNCHANGED]
    if unbuilt:
        return request, unbuilt
    if request["state"] == "rejected":
        hint = "It never had jobs. Send it again with cb-ctl request."
        message = f"request {request['request_id']} was rejected: {request['message']}"
        raise Rejected(message, code="rejected", hint=hint)
    unfinished = [job for job in jobs if not job.get("outcome")]
    if unfinished or not jobs:
        raise Rejected(
            f"{found['id']}: nothing has failed so far; {len(unfinished)} jobs have not finished",
            code="not-finished",
            hint=f"cb-ctl watch {request['request_id']}",
        )
    units = first_few(list(dict.fromkeys(job["unit"] for job in jobs)), 3).replace(", ", " ")
    hint = f"To build all the same: cb-ctl request {units} --force"
    raise Rejected(f"{found['id']}: nothing failed or was canceled", code="nothing-failed", hint=hint)


def retry_specs(jobs: Iterable[Job], request: dict[str, Any]) -> list[RetrySpec]:
    """Returns what to request: one request for each source, commit, set of targets, and set of build profiles."""
    by_unit: dict[tuple[str, str, str], list[Job]] = {}
    for job in jobs:
        by_unit.setdefault((job["source"], job["revision"], job["unit"]), []).append(job)
    specs: dict[tuple[object, ...], RetrySpec] = {}
    for (source, revision, unit), of_unit in by_unit.items():
        targets = tuple(sorted({str(job["target"]) for job in of_unit}))
        variant = _variant(of_unit[-1], request)
        key = (source, revision, targets, variant)
        specs.setdefault(key, RetrySpec(source, revision, targets, variant)).units.append(unit)
    return list(specs.values())


def _variant(job: Job, request: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the build profiles and options of the request, if the job was built with them; else none."""
    profiles, options = (tuple(request.get(name) or ()) for name in ("profiles", "build_options"))
    has_both = {*profiles} <= {*(job.get("profiles") or ())} and {*options} <= {*(job.get("build_options") or ())}
    return (profiles, options) if has_both else ((), ())


def _requested(spec: RetrySpec, request: dict[str, Any], *, head: bool) -> BuildRequested:
    from cloud_builder.model.events import BuildRequested
    from cloud_builder.model.ids import RequestId, SourceName
    from cloud_builder.model.priority import Priority

    own = spec.source == request["source"]
    ref = (request.get("ref") or "" if own else "") if head else spec.revision
    return BuildRequested(
        source=SourceName(spec.source),
        units=tuple(spec.units),
        ref=ref,
        targets=spec.targets,
        profiles=spec.variant[0],
        build_options=spec.variant[1],
        request_id=RequestId("r-" + "".join(secrets.choice(ID_LETTERS) for _ in range(6))),
        requester=requester(),
        priority=Priority(request.get("priority") or Priority.NORMAL),
    )
