"""Admits requests and ends them early: expands a request into jobs, rejects, supersedes and cancels requests.

`admit` collects what the decision needs (the graph, open pushes of the branch, earlier builds), lets
`planning.request` decide, stores the result, and hands the jobs to `jobs.py`. `results.py` ends a request whose jobs
have all finished.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from cloud_builder.errors import Rejected
from cloud_builder.model.events import BuildCancelRequested, RequestAccepted, RequestFinished, RequestRejected
from cloud_builder.model.ids import Revision
from cloud_builder.model.outcome import RequestOutcome
from cloud_builder.planning.attempt import transitions
from cloud_builder.planning.graph.profiles import with_profiles
from cloud_builder.planning.records import JobRecord, RequestRecord
from cloud_builder.planning.relations import Alternative
from cloud_builder.planning.request import supersede
from cloud_builder.planning.request.expand import NOTHING_BUILT_WITH_DELETED, BuildHistory, expand
from cloud_builder.planning.request.withhold import withhold_older
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

from . import build_results, deleted_packages, versions
from .config import SchedulerConfig
from .job_events import FINISHED, emit_job_revoked, emit_request_finished
from .jobs import begin_jobs, finish_job, unblock_dependents
from .plan_request import answer_plan_request, was_planned
from .state import CANCELED, REQUESTS, SchedulerState

_LOG = logging.getLogger("cb.scheduler")


def admit(
    state: SchedulerState,
    work: UnitOfWork,
    event: RequestAccepted,
    config: SchedulerConfig,
    *,
    has_waited: bool = False,
) -> None:
    """Expands a request into jobs. Ignores a request that was admitted before. `has_waited`: the request has waited for
    its source snapshot; otherwise it is deferred if the snapshot is missing."""
    if work.documents.get(REQUESTS, event.request_id) is not None or was_planned(work.documents, event.request_id):
        return
    if work.documents.get(CANCELED, event.request_id) is not None:
        reject_request(work, event, RequestOutcome.CANCELED, Rejected("canceled before it started"), config)
        return
    try:
        graph = state.catalog.graph(work.documents, event)
    except Rejected as error:
        if event.plan or has_waited:
            reject_request(work, event, RequestOutcome.REJECTED, error, config)
        else:
            state.deferred.defer(work, event)
        return
    open_pushes = _open_pushes(state, event)
    event = supersede.absorb_unstarted(event, open_pushes)
    graph = with_profiles(graph, event.source, frozenset(event.units), event.profiles)
    sequence = 0 if event.plan else state.next_sequence(work)
    try:
        jobs = expand(event, graph, sequence, _build_history(state, work.documents), rounds=config.cycle_rounds)
    except Rejected as error:
        is_success = error.code == NOTHING_BUILT_WITH_DELETED
        outcome = RequestOutcome.SUCCESS if is_success else RequestOutcome.REJECTED
        reject_request(work, event, outcome, error, config)
        return
    jobs = _withhold_older(state, work.documents, event, jobs)
    if event.plan:
        answer_plan_request(state, work, event, jobs, config)
        return
    superseded = supersede.supersede(event, jobs, open_pushes, graph.paths(event.source))
    _LOG.info("accepted", extra={"request": event.request_id, "jobs": len(jobs), "revision": event.revision[:10]})
    deleted_packages.save(work, event)
    state.save_request(work, _record_of(event, sequence, jobs))
    state.create_jobs(work, jobs)
    for push in superseded:  # First, so that the new jobs do not become duplicates of jobs that end here.
        _end_superseded(state, work, push, event)
    begin_jobs(state, work, jobs)


def _record_of(event: RequestAccepted, sequence: int, jobs: Sequence[JobRecord]) -> RequestRecord:
    return RequestRecord(
        request_id=event.request_id,
        sequence=sequence,
        source=event.source,
        ref=event.ref,
        revision=event.revision,
        requester=event.requester,
        origin=event.origin,
        accepted_at=event.accepted_at,
        priority=event.priority,
        deadline=event.deadline,
        jobs=tuple(job.job_id for job in jobs),
    )


def _build_history(state: SchedulerState, documents: Documents) -> BuildHistory:
    """Returns what `expand` looks up of earlier builds."""

    def is_published(target: str, alternative: Alternative) -> bool:
        packages = state.published.find(documents, target, alternative.name)
        return any(alternative.is_met_by(package.artifact) for package in packages)

    return BuildHistory(is_published, build_results.expected_seconds(documents))


def _withhold_older(
    state: SchedulerState, documents: Documents, event: RequestAccepted, jobs: list[JobRecord]
) -> list[JobRecord]:
    """Withholds the packages of units of which a newer commit is published, or is being built to be published."""
    if not event.newer_commits:
        return jobs
    building: dict[tuple[str, str], list[Revision]] = {}
    for job in state.jobs.by_id.values():
        if job.publish and job.source == event.source and (job.is_good or not job.is_finished):
            building.setdefault((job.unit, job.target.name), []).append(job.revision)

    def published(job: JobRecord) -> list[Revision]:
        unit = versions.published_unit(documents, job)
        return [*([unit.revision] if unit is not None else []), *building.get((job.unit, job.target.name), ())]

    return withhold_older(event, jobs, state.catalog.head_trees(documents, event.source), published)


def _open_pushes(state: SchedulerState, event: RequestAccepted) -> list[supersede.Push]:
    """Returns the open pushes to the same branch that a new push may replace."""
    older = [request for request in state.requests.by_id.values() if supersede.can_be_superseded(request, event)]
    return [supersede.Push(request, tuple(state.requests.jobs_of(request))) for request in older]


def _end_superseded(
    state: SchedulerState, work: UnitOfWork, push: supersede.SupersededPush, newer: RequestAccepted
) -> None:
    """Ends the jobs of an older push that a newer push builds instead."""
    _LOG.info("superseded", extra={"request": push.request.request_id, "by": newer.request_id})
    state.save_request(work, push.request)
    for job in push.ended:
        emit_job_revoked(work, job, f"superseded by {newer.request_id}")
        finish_job(state, work, supersede.end(job, newer.request_id))


def on_request_rejected(
    state: SchedulerState, work: UnitOfWork, event: RequestRejected, config: SchedulerConfig
) -> None:
    """Passes a rejection by cb-request on to `cb.result`. Does not reject a request that was admitted or has ended:
    cb-request rejects it when it cannot announce it again to a new broker because its source is gone."""
    state.deferred.remove(work, event.request_id)
    if all(work.documents.get(collection, event.request_id) is None for collection in (REQUESTS, FINISHED)):
        error = Rejected(event.message, code=event.code, hint=event.hint)
        reject_request(work, event, RequestOutcome.REJECTED, error, config)


def reject_request(
    work: UnitOfWork,
    event: RequestAccepted | RequestRejected,
    outcome: RequestOutcome,
    error: Rejected,
    config: SchedulerConfig,
) -> None:
    """Emits the end of a request that never became jobs, for clients that wait on `cb.result`."""
    _LOG.info("rejected", extra={"request": event.request_id, "code": error.code, "why": error.message})
    finished = RequestFinished(
        request_id=event.request_id,
        source=event.source,
        ref=event.ref,
        outcome=outcome,
        code=error.code,
        message=error.message,
        hint=error.hint,
        objects_url=config.objects_url,
        finished_at=work.now,
    )
    emit_request_finished(work, finished)


def on_cancel_requested(state: SchedulerState, work: UnitOfWork, event: BuildCancelRequested) -> None:
    """Cancels an open request. Stores the cancel of a request that has not arrived yet, so that it never starts."""
    request = state.requests.by_id.get(event.request_id)
    if request is None:
        if work.documents.get(REQUESTS, event.request_id) is None:
            work.documents.put(CANCELED, event.request_id, {"requester": event.requester}, rank=work.now)
        return
    _LOG.info("canceled", extra={"request": event.request_id, "requester": event.requester})
    reason = f"canceled by {event.requester}" if event.requester else "canceled"
    cancel_jobs(state, work, request.model_copy(update={"canceled": True}), reason)


def cancel_jobs(
    state: SchedulerState, work: UnitOfWork, request: RequestRecord, reason: str, code: str = "canceled"
) -> None:
    """Stores a canceled request, ends its unfinished jobs, and revokes those that runners have."""
    state.save_request(work, request)
    for job in state.requests.jobs_of(request):
        if not job.is_finished:
            emit_job_revoked(work, job, reason)
            finish_job(state, work, transitions.cancel(job, reason, code))
    unblock_dependents(state, work)
