"""Answers the view `why`: finds the job, request or unit, and returns the causes that `planning/why` gives."""

from __future__ import annotations

from typing import Any

from cloud_builder.model.ids import JobId, RequestId
from cloud_builder.planning.request.expand import BROKEN_UNIT
from cloud_builder.planning.schedule.queue import QueuePolicy
from cloud_builder.planning.why import Cause, CauseKind, why_job, why_request
from cloud_builder.ports.state import Document, Documents

from . import find, publication
from .facts import DocumentFacts, job_of

MAX_CAUSES = 20
"""Targets of a unit whose newest job is explained."""


def why(name: str, state: Documents, now: float, queue_policy: QueuePolicy, target: str = "") -> dict[str, Any]:
    """Returns `{"kind": "job" | "request" | "unit" | "repository" | "package", "id": …, "causes": […]}`; all but the
    first two may have several causes.

    `target`: of a unit, only the newest job for this target; empty: for each.

    Raises Rejected with the nearest name when nothing has this name.
    """
    facts = DocumentFacts(state, now, queue_policy)
    for kind in ("job", "request"):
        if state.get(kind, name) is not None:
            return _answer(kind, name, [_of_id(kind, name, facts, now)])
    if causes := _of_unit(name, state, facts, now, target):
        return _answer("unit", name, causes)
    if causes := publication.of_repository(name, state, facts, now):
        return _answer("repository", name, causes)
    if causes := publication.of_package(name, state, facts, now):
        return _answer("package", name, causes)
    if unit := publication.unit_of_package(name, state):
        return _answer("package", name, _of_unit(unit, state, facts, now, target))
    kind, resolved = find.resolve_id(name, state)
    return _answer(kind, resolved, [_of_id(kind, resolved, facts, now)])


def _of_id(kind: str, name: str, facts: DocumentFacts, now: float) -> Cause:
    if kind == "job":
        job = facts.job(JobId(name))
        assert job is not None
        return why_job(job, facts, now)
    request = facts.request(RequestId(name))
    assert request is not None
    return why_request(request, facts, now)


def _of_unit(name: str, state: Documents, facts: DocumentFacts, now: float, target: str) -> list[Cause]:
    """Returns the causes of a unit's newest jobs, or why it has no job; empty: no such unit.

    What is wrong with the unit at the head of its branch comes first, unless its newest job already has it."""
    if find.unit(name, state) is None and (deleted := publication.of_deleted_unit(name, state, facts, now)):
        return deleted
    jobs = find.newest_of_unit(name, state, MAX_CAUSES)
    if jobs and target and (job := find.newest_job_of_unit(name, state, target)):
        jobs = [job]
    causes = [why_job(job_of(job), facts, now) for job in jobs]
    if jobs and (held := publication.of_unit(jobs[0]["source"], jobs[0]["unit"], state, facts, now)):
        return [*held, *causes]
    problem = _problem_of(name, state)
    if problem is not None:
        return causes if any(job.get("code") == BROKEN_UNIT for job in jobs) else [problem, *causes]
    unit = find.unit(name, state) if not jobs else None
    return causes if unit is None else [_never_requested(unit)]


def _answer(kind: str, name: str, causes: list[Cause]) -> dict[str, Any]:
    return {"kind": kind, "id": name, "causes": [cause.model_dump(mode="json") for cause in causes]}


def _problem_of(name: str, state: Documents) -> Cause | None:
    """Returns the cause for a unit, or a directory, with a problem at the head of its source's branch."""
    source_name, _, path = name.rpartition(":")
    for source, body in state.find("source"):
        for problem in body["problems"] if source_name in ("", source) else ():
            if f"/{problem['path']}".endswith(f"/{path}"):
                where = ":".join(str(part) for part in (problem["file"] or problem["path"], problem["line"]) if part)
                return Cause(
                    kind=CauseKind.BROKEN,
                    answer=f"it cannot be built: {where}: {problem['message']}",
                    next=problem["hint"] or "cb-ctl check says what is wrong with a tree.",
                    source=source,
                    unit=problem["path"],
                    state="broken",
                )
    return None


def _never_requested(unit: Document) -> Cause:
    return Cause(
        kind=CauseKind.NEVER_ASKED,
        answer="no build of it was ever requested",
        next=f"cb-ctl request {unit['path']}",
        source=unit["source"],
        unit=unit["path"],
        target=", ".join(target["name"] for target in unit.get("targets", [])),
        state="never",
    )
