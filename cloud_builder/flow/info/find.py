"""Finds what a person has named: by id, by the beginning of an id, or a job by its unit.

Raises Rejected with the nearest existing name when there is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from cloud_builder.errors import Rejected
from cloud_builder.model.nearest import did_you_mean, nearest
from cloud_builder.ports.state import Document, Documents

from .documents import NEWEST_JOB

MAX_SCANNED = 5000
"""The newest documents that are searched for the beginning of an id, or for the nearest name."""


def by_id(collection: str, name: str, state: Documents) -> Document:
    """Returns the document with this id, or the only one whose id begins with it."""
    body = state.get(collection, name)
    if body is not None:
        return body
    keys = newest_keys(collection, state)
    begun = [key for key in keys if name and key.startswith(name)]
    if len(begun) == 1 and (body := state.get(collection, begun[0])) is not None:
        return body
    if begun:
        raise Rejected(
            f"{collection} {name!r}: {len(begun)} ids begin with it", code="ambiguous", hint=f"For example {begun[0]}."
        )
    raise missing(collection, name, keys)


def job_of(name: str, state: Documents, target: str = "") -> Document:
    """Returns a job by its id, its unit (the newest job), or its request if that has only one job.

    `target`: only jobs for this target; empty: any."""
    if body := state.get("job", name) or newest_job_of_unit(name, state, target):
        return check_target(body, target)
    if state.get("request", name):
        return _only_job(name, state, target)
    try:
        return check_target(by_id("job", name, state), target)
    except Rejected as unknown:
        raise _with_nearest_unit(unknown, name, state) from None


def _only_job(request: str, state: Documents, target: str) -> Document:
    every = [body for _, body in state.find("job", parent=request, most=MAX_SCANNED if target else 2)]
    jobs = [body for body in every if target in ("", body["target"]["name"])]
    if len(jobs) == 1:
        return jobs[0]
    what = f" for {target}" if target else ""
    if jobs:
        hint = f"Name one of its jobs, for example {jobs[0]['job_id']}."
        raise Rejected(f"request {request} has more than one job{what}", code="ambiguous", hint=hint)
    if every:
        raise unknown_target(f"request {request}", target, (body["target"]["name"] for body in every))
    raise Rejected(f"request {request} has no job yet", code="not-found", hint=f"cb-ctl status {request}")


def check_target(body: Document, target: str) -> Document:
    """Returns the job. Raises Rejected if it is for another target than `target` (empty: any)."""
    if target not in ("", body["target"]["name"]):
        raise unknown_target(f"job {body['job_id']}", target, [body["target"]["name"]])
    return body


def unknown_target(what: str, target: str, targets: Iterable[str]) -> Rejected:
    """Returns the error that a job, request or unit is not built for this target, with the nearest one."""
    return Rejected(f"{what}: no job for target {target!r}", code="unknown-target", hint=did_you_mean(target, targets))


def resolve_id(name: str, state: Documents, target: str = "") -> tuple[str, str]:
    """Returns `("job" | "request", id)` for an id, the beginning of one, or the name of a unit (its newest job).

    `target`: the newest job of a unit is the one for this target; empty: for any."""
    for collection in ("job", "request"):
        if state.get(collection, name) is not None:
            return collection, name
    if job := newest_job_of_unit(name, state, target):
        return "job", job["job_id"]
    keys = {collection: newest_keys(collection, state) for collection in ("request", "job")}
    for collection, ids in keys.items():
        begun = [key for key in ids if name and key.startswith(name)]
        if len(begun) == 1:
            return collection, begun[0]
        if begun:
            raise Rejected(
                f"{name!r}: {len(begun)} {collection} ids begin with it", code="ambiguous", hint=", ".join(begun[:5])
            )
    raise _with_nearest_unit(missing("job or request", name, [*keys["request"], *keys["job"]]), name, state)


def newest_of_unit(name: str, state: Documents, most: int) -> list[Document]:
    """Returns the newest job of each target of a unit, the newest first; of each unit, if several have this name."""
    found: list[Document] = []
    source, _, path = name.rpartition(":")
    for _, newest in state.find(NEWEST_JOB, parent=path.rsplit("/", 1)[-1], newest=True):
        body = state.get("job", newest["job_id"])
        if body and source in ("", body["source"]) and f"/{body['unit']}".endswith(f"/{path}"):
            found.append(body)
        if len(found) == most:
            break
    return found


def unit(name: str, state: Documents) -> Document | None:
    """Returns a unit by its path or the end of the path, with or without its source: `demo:packages/hello`."""
    source, _, path = name.rpartition(":")
    for _, body in state.find("unit", parent=source or None):
        if f"/{body['path']}".endswith(f"/{path}"):
            return body
    return None


def missing(what: str, name: str, existing: Iterable[str]) -> Rejected:
    """Returns the error that nothing has this name. `what`: a job, a request, a unit, …"""
    close = nearest(name, existing)
    listed = "requests" if "request" in what else f"{what}s"
    hint = f"Did you mean {close}?" if close else f"cb-ctl list {listed}"
    return Rejected(f"{what} {name!r}: not known", code="not-found", hint=hint)


def _with_nearest_unit(unknown: Rejected, name: str, state: Documents) -> Rejected:
    """Returns the error with the nearest unit or repository as its hint, when no id was near: people name jobs by their
    unit."""
    units = {body["path"] for _, body in state.find("unit")} | {key for key, _ in state.find("repository")}
    close = nearest(name, units) if "Did you mean" not in unknown.hint and unknown.code == "not-found" else None
    return Rejected(unknown.message, code=unknown.code, hint=f"Did you mean {close}?") if close else unknown


def newest_keys(collection: str, state: Documents) -> list[str]:
    return [key for key, _ in islice(state.find(collection, newest=True, most=MAX_SCANNED), MAX_SCANNED)]


def newest_job_of_unit(name: str, state: Documents, target: str = "") -> Document | None:
    """Returns the newest job of a unit: `hello`, `packages/hello` or `demo:packages/hello`; None: it has no job.

    Raises Rejected if it has jobs, but none for `target` (empty: any)."""
    source, _, path = name.rpartition(":")
    others: set[str] = set()
    for key, _ in state.find("job-name", parent=path.rsplit("/", 1)[-1], newest=True):
        body = state.get("job", key)
        if body and (not source or body["source"] == source) and f"/{body['unit']}".endswith(f"/{path}"):
            if target in ("", body["target"]["name"]):
                return body
            others.add(body["target"]["name"])
    if others:
        raise unknown_target(name, target, others)
    return None
