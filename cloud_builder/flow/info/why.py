"""The view `why`: a job, a request or a unit in, causes out (planning/why decides; here things are only found)."""

from __future__ import annotations

from typing import Any

from cloud_builder.model.ids import JobId, RequestId
from cloud_builder.planning.order import Rules
from cloud_builder.planning.why import Cause, CauseKind, why_job, why_request
from cloud_builder.ports.state import Document, Documents

from . import find
from .facts import Facts, job_of, request_of

MOST_CAUSES = 20
"""Targets of a unit that are told of."""


def why(word: str, state: Documents, now: float, rules: Rules) -> dict[str, Any]:
    """`{"kind": "job" | "request" | "unit", "id": …, "causes": […]}`; one cause but for a unit.

    Raises Rejected with the nearest name for what nobody knows."""
    facts = Facts(state, now, rules)
    if (body := state.get("job", word)) is not None:
        return _answer("job", word, [why_job(job_of(body), facts, now)])
    if (body := state.get("request", word)) is not None:
        return _answer("request", word, [why_request(request_of(body), facts, now)])
    if jobs := find.newest_of_unit(word, state, MOST_CAUSES):
        return _answer("unit", word, [why_job(job_of(job), facts, now) for job in jobs])
    if (unit := find.unit(word, state)) is not None:
        return _answer("unit", word, [_never_asked(unit)])
    kind, found = find.thing(word, state)
    if kind == "job" and (job := facts.job(JobId(found))) is not None:
        return _answer("job", found, [why_job(job, facts, now)])
    request = facts.request(RequestId(found))
    assert request is not None
    return _answer("request", found, [why_request(request, facts, now)])


def _answer(kind: str, name: str, causes: list[Cause]) -> dict[str, Any]:
    return {"kind": kind, "id": name, "causes": [cause.model_dump(mode="json") for cause in causes]}


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
