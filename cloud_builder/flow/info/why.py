"""The view `why`: a job, a request or a unit in, causes out (planning/why decides; here things are only found)."""

from __future__ import annotations

from typing import Any

from cloud_builder.model.ids import JobId, RequestId
from cloud_builder.planning.schedule.queue import QueuePolicy
from cloud_builder.planning.why import Cause, CauseKind, why_job, why_request
from cloud_builder.ports.state import Document, Documents

from . import find
from .facts import DocumentFacts, job_of

MOST_CAUSES = 20
"""Targets of a unit that are told of."""


def why(word: str, state: Documents, now: float, rules: QueuePolicy) -> dict[str, Any]:
    """`{"kind": "job" | "request" | "unit", "id": …, "causes": […]}`; one cause but for a unit.

    Raises Rejected with the nearest name for what nobody knows."""
    facts = DocumentFacts(state, now, rules)
    for kind in ("job", "request"):
        if state.get(kind, word) is not None:
            return _answer(kind, word, [_of_id(kind, word, facts, now)])
    if causes := _of_unit(word, state, facts, now):
        return _answer("unit", word, causes)
    kind, found = find.resolve_id(word, state)
    return _answer(kind, found, [_of_id(kind, found, facts, now)])


def _of_id(kind: str, name: str, facts: DocumentFacts, now: float) -> Cause:
    if kind == "job":
        job = facts.job(JobId(name))
        assert job is not None
        return why_job(job, facts, now)
    request = facts.request(RequestId(name))
    assert request is not None
    return why_request(request, facts, now)


def _of_unit(word: str, state: Documents, facts: DocumentFacts, now: float) -> list[Cause]:
    """Of its newest jobs; or that there is none yet; or why it is no unit. Empty: nothing is called so."""
    if jobs := find.newest_of_unit(word, state, MOST_CAUSES):
        return [why_job(job_of(job), facts, now) for job in jobs]
    if (unit := find.unit(word, state)) is not None:
        return [_never_asked(unit)]
    problem = _problem_of(word, state)
    return [problem] if problem else []


def _answer(kind: str, name: str, causes: list[Cause]) -> dict[str, Any]:
    return {"kind": kind, "id": name, "causes": [cause.model_dump(mode="json") for cause in causes]}


def _problem_of(word: str, state: Documents) -> Cause | None:
    """A directory that would be a unit, were it not for a mistake in it."""
    for source, body in state.find("source"):
        for problem in body["problems"]:
            if f"/{problem['path']}".endswith(f"/{word}"):
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


def _never_asked(unit: Document) -> Cause:
    return Cause(
        kind=CauseKind.NEVER_ASKED,
        answer="no build of it was ever asked for",
        next=f"cb-ctl request {unit['path']}",
        source=unit["source"],
        unit=unit["path"],
        target=", ".join(target["name"] for target in unit.get("targets", [])),
        state="never",
    )
