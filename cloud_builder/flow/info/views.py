"""Makes rows of documents: short ones for lists and live views, full ones for a single thing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from cloud_builder.model.outcome import JobState
from cloud_builder.ports.state import Document, Documents

from . import branch_state, livelog
from .documents import QUARANTINE

ONLINE_WITHIN = 12.0
"""Seconds since a runner's last heartbeat."""

_JOB = (
    "job_id", "request_id", "source", "unit", "state", "outcome", "code", "attempt", "runner_id",
    "message", "hint", "step", "reason", "waiting_for", "round", "profiles", "build_options",
    "source_version", "replaced_version", "notes", "publish",
    "first_at", "started_at", "finished_at", "at",
)  # fmt: skip
_REQUEST = (
    "request_id", "source", "ref", "revision", "state", "outcome", "origin", "requester", "units", "targets",
    "code", "message", "hint", "summary", "accepted_at", "finished_at",
)  # fmt: skip
_REQUEST_IN_FULL = (
    "repositories", "objects_url", "publish", "dependants", "profiles", "build_options", "force", "priority",
    "problems", "held", "more_held",
)  # fmt: skip
_UNIT = (
    "source", "path", "directory", "name", "kind", "provides", "build_depends", "depends", "revision", "tree",
    "buildroot", "repositories", "unverified", "problems",
)  # fmt: skip
_MAX_WAITING_FOR = 8
_MAX_UNITS = 20
"""Units in a row of a request; its jobs name all. Ten requests for all units would not fit into one answer."""


def source(body: Document) -> dict[str, Any]:
    return body


def unit(body: Document, state: Documents) -> dict[str, Any]:
    """Returns a row of a unit; `builds`: for each target, whether what is published is of the head of the branch."""
    targets = [target["name"] for target in body.get("targets", [])]
    return {**_only(body, _UNIT), "targets": targets, "builds": branch_state.builds_of(body, state)}


def request(body: Document) -> dict[str, Any]:
    """Returns a row of a request. Its `units` are the first of `unit_count`."""
    row = _only(body, _REQUEST)
    if "units" in row:
        row |= {"units": row["units"][:_MAX_UNITS], "unit_count": len(row["units"])}
    return row


def request_in_full(body: Document) -> dict[str, Any]:
    return {**request(body), **_only(body, _REQUEST_IN_FULL)}


def job(body: Document, state: Documents) -> dict[str, Any]:
    """Returns a row of a job, with the last line of its live log while there is one."""
    row = _only(body, _JOB)
    row["target"] = body["target"]["name"]
    waiting = list(islice(_open(row.get("waiting_for", []), state), _MAX_WAITING_FOR))
    row["waiting_units"] = [needed["unit"] for _, needed in waiting if needed]
    row["waiting_for"] = [job for job, _ in waiting]
    row["last_line"] = livelog.last_line(body["job_id"], state)
    return row


def _open(jobs: list[str], state: Documents) -> Iterator[tuple[str, Document | None]]:
    """Returns the jobs that have not finished, each with its document, if there is one: a job still waits for them."""
    bodies = ((job, state.get("job", job)) for job in jobs)
    return ((job, body) for job, body in bodies if body is None or body["state"] != JobState.FINISHED)


def job_in_full(body: Document, state: Documents, objects_url: str) -> dict[str, Any]:
    row = job(body, state)
    row.update(_only(body, ("revision", "input_key", "reused_from", "timings", "repository", "publish")))
    row["artifacts"] = [fetchable(artifact, objects_url) for artifact in body.get("artifacts", [])]
    row["log"] = fetchable(body["log"], objects_url) if body.get("log") else None
    return row


def whole_job(body: Document, state: Documents, objects_url: str) -> dict[str, Any]:
    """Returns a full row of a job with its attempts."""
    rows = [row for _, row in attempts(body["job_id"], state, objects_url)]
    return {**job_in_full(body, state, objects_url), "attempts": rows}


def attempts(job: str, state: Documents, objects_url: str) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((key, attempt(body, objects_url)) for key, body in state.find("attempt", parent=job))


def attempt(body: Document, objects_url: str) -> dict[str, Any]:
    row = {key: value for key, value in body.items() if key not in ("artifacts", "log")}
    row["artifacts"] = len(body.get("artifacts", []))
    row["log"] = fetchable(body["log"], objects_url) if body.get("log") else None
    return row


def runners(state: Documents, now: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Returns rows of runners, by id. `state`: online, draining, silent or quarantined, with `reason` and `until`."""
    for key, body in state.find("runner"):
        is_silent = now - body["at"] > ONLINE_WITHIN
        row = {**body, "state": "draining" if body["draining"] else "silent" if is_silent else "online", "until": 0.0}
        quarantine = state.get(QUARANTINE, key) if row["state"] == "online" else None
        if quarantine and quarantine["reason"]:
            row |= {"state": "quarantined", "reason": quarantine["reason"], "until": quarantine["until"]}
        yield key, row


def repository(body: Document) -> dict[str, Any]:
    return body


def fetchable(artifact: dict[str, Any], objects_url: str) -> dict[str, Any]:
    shown = {key: artifact[key] for key in ("name", "sha256", "size", "kind")}
    return {**shown, "url": f"{objects_url}/{artifact['sha256']}" if objects_url else ""}


def _only(body: Document, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: body[name] for name in names if name in body}
