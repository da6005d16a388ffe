"""A request that only asks what would be done: expanded as usual, looked at, told on cb.plan, and over.

It starts no job and leaves nothing behind but its id, so that hearing of it again says nothing anew.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial

from cloud_builder.model.events import PlanDrawn, PlannedJob, PlanTotals, RequestAccepted, RequestFinished
from cloud_builder.model.ids import InputKey, RequestId
from cloud_builder.model.outcome import RequestOutcome
from cloud_builder.planning.preview.model import LastBuild, PlanLookups
from cloud_builder.planning.preview.preview import preview
from cloud_builder.planning.records import BuildResult, JobRecord
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

from .config import SchedulerConfig
from .state import SchedulerState

log = logging.getLogger("cb.scheduler")

MOST_BYTES = 400_000
"""Of the lines in one event: brokers take messages of 1 MB."""
PLAN_ID_RETENTION = 30 * 86400.0
"""Seconds that the id of a plan is remembered: longer than cb.intake keeps the request."""


def history_key(source: str, unit: str, target: str) -> str:
    """Of the last good build of a unit for a target, in the collection `history`. Builds of other commits than those of
    the followed branch are no history of it."""
    return f"{source}:{unit}:{target}"


def was_planned(state: Documents, request_id: RequestId) -> bool:
    return state.get("planned", request_id) is not None


def answer_plan_request(
    world: SchedulerState, work: UnitOfWork, event: RequestAccepted, jobs: Sequence[JobRecord], config: SchedulerConfig
) -> None:
    """Tells what these jobs would come to, and ends the request."""
    lines, totals = preview(jobs, _known(world, work.documents))
    for part in parts(event, lines, totals, work.now):
        work.emit(part)
    log.info("planned", extra={"request": event.request_id, "jobs": totals.jobs, "build": totals.build})
    work.emit(
        RequestFinished(
            request_id=event.request_id,
            source=event.source,
            ref=event.ref,
            revision=event.revision,
            outcome=RequestOutcome.SUCCESS,
            code="planned",
            message=summary(totals),
            objects_url=config.objects_url,
            accepted_at=event.accepted_at,
            finished_at=work.now,
        )
    )
    _remember(work, event.request_id)


def summary(totals: PlanTotals) -> str:
    """Of 17 jobs 3 would be built, 2 only if what they need changes."""
    maybe = f", {totals.maybe} only if what they need changes" if totals.maybe else ""
    cannot = f"; {totals.cannot} cannot be built" if totals.cannot else ""
    return f"of {totals.jobs} jobs {totals.build} would be built{maybe}{cannot}"


def parts(event: RequestAccepted, lines: Sequence[PlannedJob], totals: PlanTotals, now: float) -> Iterator[PlanDrawn]:
    """At least one. They have one key, so they arrive in order."""
    pieces = list(_pieces(lines)) or [()]
    for number, piece in enumerate(pieces):
        yield PlanDrawn(
            request_id=event.request_id,
            source=event.source,
            ref=event.ref,
            revision=event.revision,
            totals=PlanTotals() if number else totals,
            jobs=tuple(piece),
            part=number,
            parts=len(pieces),
            drawn_at=now,
        )


def _pieces(lines: Sequence[PlannedJob]) -> Iterator[Sequence[PlannedJob]]:
    begin = size = 0
    for at, line in enumerate(lines):
        weight = len(line.model_dump_json().encode()) + 1
        if size + weight > MOST_BYTES and at > begin:
            yield lines[begin:at]
            begin, size = at, 0
        size += weight
    if lines[begin:]:
        yield lines[begin:]


def _known(world: SchedulerState, state: Documents) -> PlanLookups:
    def built(key: InputKey) -> BuildResult | None:
        body = state.get("built", key)
        return None if body is None else BuildResult.model_validate(body)

    def last(job: JobRecord) -> LastBuild | None:
        body = state.get("history", history_key(job.source, job.unit, job.target.name))
        return None if body is None else LastBuild.model_validate(body)

    return PlanLookups(
        built, partial(world.published_packages, state), last, world.active_by_key.get, tuple(world.runners.values())
    )


def _remember(work: UnitOfWork, request_id: RequestId) -> None:
    work.documents.put("planned", request_id, {}, rank=work.now)
    for old, _ in list(work.documents.find("planned", before=work.now - PLAN_ID_RETENTION, most=100)):
        work.documents.delete("planned", old)
