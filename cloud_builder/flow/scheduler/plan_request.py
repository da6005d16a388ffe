"""Answers a request with `plan: true`: expands it as usual, and emits what would be built on `cb.plan`.

Starts no job, and stores only the request's id, so that a repeated request is not answered twice.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial

from cloud_builder.model.events import PlanDrawn, PlannedJob, PlanTotals, RequestAccepted, RequestFinished
from cloud_builder.model.ids import InputKey, RequestId
from cloud_builder.model.outcome import RequestOutcome
from cloud_builder.model.parts import split
from cloud_builder.planning.preview.model import PlanLookups
from cloud_builder.planning.preview.preview import preview
from cloud_builder.planning.records import BuildResult, JobRecord
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

from . import build_results, versions
from .config import SchedulerConfig
from .state import SchedulerState

_LOG = logging.getLogger("cb.scheduler")

PLANNED = "planned-requests"
"""Collection: the ids of plan requests that were answered."""
NEWEST = 2**62
"""Sequence of a request that is newer than all others, as a planned request would be."""
PLAN_ID_RETENTION = 30 * 86400.0
"""Seconds that the id of a plan is kept: longer than `cb.intake` keeps the request."""


def was_planned(documents: Documents, request_id: RequestId) -> bool:
    return documents.get(PLANNED, request_id) is not None


def answer_plan_request(
    state: SchedulerState, work: UnitOfWork, event: RequestAccepted, jobs: Sequence[JobRecord], config: SchedulerConfig
) -> None:
    """Emits the plan of these jobs, and the end of the request."""
    planned_jobs, totals = preview(jobs, _lookups(state, work.documents))
    for part in plan_parts(event, planned_jobs, totals, work.now):
        work.emit(part)
    _LOG.info("planned", extra={"request": event.request_id, "jobs": totals.jobs, "build": totals.build})
    work.emit(
        RequestFinished(
            request_id=event.request_id,
            source=event.source,
            ref=event.ref,
            revision=event.revision,
            outcome=RequestOutcome.SUCCESS,
            code="planned",
            message=_summary(totals),
            objects_url=config.objects_url,
            accepted_at=event.accepted_at,
            finished_at=work.now,
        )
    )
    _save_id(work, event.request_id)


def plan_parts(
    event: RequestAccepted, planned_jobs: Sequence[PlannedJob], totals: PlanTotals, now: float
) -> Iterator[PlanDrawn]:
    """Yields the plan in at least one event. All parts have one key, so they arrive in order; the first has the
    totals."""
    parts = list(split(planned_jobs)) or [()]
    for number, part in enumerate(parts):
        yield PlanDrawn(
            request_id=event.request_id,
            source=event.source,
            ref=event.ref,
            revision=event.revision,
            totals=PlanTotals() if number else totals,
            jobs=tuple(part),
            part=number,
            parts=len(parts),
            drawn_at=now,
        )


def _summary(totals: PlanTotals) -> str:
    """Returns e.g. "of 17 jobs 3 would be built, 2 only if what they need changes"."""
    maybe = f", {totals.maybe} only if what they need changes" if totals.maybe else ""
    cannot = f"; {totals.cannot} cannot be built" if totals.cannot else ""
    return f"of {totals.jobs} jobs {totals.build} would be built{maybe}{cannot}"


def _lookups(state: SchedulerState, documents: Documents) -> PlanLookups:
    return PlanLookups(
        partial(_reusable_result, documents),
        partial(state.published.find, documents),
        partial(build_results.last_build, documents),
        state.jobs.active_by_key.get,
        tuple(state.runners.by_id.values()),
    )


def _reusable_result(documents: Documents, job: JobRecord, key: InputKey) -> BuildResult | None:
    """Returns the result of an input key; None also if it cannot be published, and the job is built again for that."""
    result = build_results.load(documents, key)
    job = job.model_copy(update={"sequence": NEWEST})
    return result if result is not None and versions.can_be_reused(documents, job, result) else None


def _save_id(work: UnitOfWork, request_id: RequestId) -> None:
    work.documents.put(PLANNED, request_id, {}, rank=work.now)
    for expired, _ in list(work.documents.find(PLANNED, before=work.now - PLAN_ID_RETENTION, most=100)):
        work.documents.delete(PLANNED, expired)
