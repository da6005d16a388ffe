"""Handles what runners and the collector report: attempts, publications; and ends requests whose jobs have finished."""

from __future__ import annotations

import logging

from cloud_builder.model.events import (
    AttemptFinished,
    AttemptStarted,
    PublishFailed,
    RepositoryPublished,
    RepositoryState,
    RequestFinished,
)
from cloud_builder.model.outcome import BUILD_DEPENDENCY
from cloud_builder.planning.attempt import transitions
from cloud_builder.planning.attempt.quarantine import AttemptEnd
from cloud_builder.planning.request import outcome
from cloud_builder.ports.mesh import UnitOfWork

from . import deleted_packages, versions
from .config import SchedulerConfig
from .job_events import FINISHED, emit_job_state, emit_request_finished
from .jobs import requeue
from .state import SchedulerState

_LOG = logging.getLogger("cb.scheduler")


def on_attempt_started(state: SchedulerState, work: UnitOfWork, event: AttemptStarted) -> None:
    job = state.jobs.by_id.get(event.job_id)
    if job is None or not transitions.is_current(job, event.attempt):
        return
    job = transitions.start(job, event.started_at)
    state.mark_started(job)
    emit_job_state(work, job)


def on_attempt_finished(
    state: SchedulerState, work: UnitOfWork, event: AttemptFinished, config: SchedulerConfig
) -> None:
    """Finishes or retries the job. Only the current attempt counts; every report frees the slot of its attempt."""
    state.runners.release(event.runner_id, (event.job_id, event.attempt))
    job = state.jobs.by_id.get(event.job_id)
    if job is None or not transitions.is_current(job, event.attempt):
        extra = {"job": event.job_id, "attempt": event.attempt, "runner": event.runner_id}
        _LOG.info("stale-report", extra=extra)
        state.runners.quarantine.on_stale_report(work, event)
        return
    event = deleted_packages.explain(work, job, event)
    end = AttemptEnd(event.outcome, event.code, event.message)
    state.runners.quarantine.on_attempt_end(work, job, end, config.retries.quarantine_after)
    if event.code == BUILD_DEPENDENCY:
        event = event.model_copy(update={"message": state.catalog.with_nearest(work.documents, job, event.message)})
    ended = versions.after_build(work, transitions.finish(job, event, config.retries, work.now))
    requeue(state, work, ended, config)


def on_repository_published(state: SchedulerState, work: UnitOfWork, event: RepositoryPublished) -> None:
    """Marks the jobs as published, and stores the repository's snapshot in their requests."""
    for job_id in event.jobs:
        job = state.jobs.by_id.get(job_id)
        if job is None or job.published:
            continue
        state.save_job(work, job.model_copy(update={"published": True}))
        request = state.requests.by_id[job.request_id]
        before = request.repositories.get(event.repository)
        removed = (*(before.removed if before else ()), *event.removed)
        repository = RepositoryState(
            repository=event.repository,
            snapshot=event.snapshot,
            url=event.url,
            removed=tuple(dict.fromkeys(removed)),
        )
        if before != repository:
            repositories = {**request.repositories, event.repository: repository}
            state.save_request(work, request.model_copy(update={"repositories": repositories}))
    _update_held(state, work, event)


def _update_held(state: SchedulerState, work: UnitOfWork, event: RepositoryPublished) -> None:
    """Stores in each open request which of its builds the new snapshot does not list."""
    for request in list(state.requests.by_id.values()):
        before = request.held.get(event.repository, ())
        if not before and not (event.held and event.repository in request.repositories):
            continue
        held = outcome.held_builds(state.requests.jobs_of(request), event.repository, event.held)
        if held != before:
            updated = {**request.held, event.repository: held}
            state.save_request(work, request.model_copy(update={"held": updated}))


def on_publish_failed(state: SchedulerState, work: UnitOfWork, event: PublishFailed) -> None:
    """Lets the requests of the jobs end in error instead of waiting for a publication that will not come."""
    for job_id in event.jobs:
        job = state.jobs.by_id.get(job_id)
        if job is None or job.published:
            continue
        state.save_job(work, job.model_copy(update={"published": True}))
        request = state.requests.by_id[job.request_id]
        message = f"{job.unit} was built, but {event.repository} could not be published: {event.message}"
        state.save_request(work, request.model_copy(update={"failure": message}))


def republish(state: SchedulerState, work: UnitOfWork) -> None:
    """Emits the state of every open job, the newest results and the quarantines again, for a broker that has lost its
    data."""
    for job in state.jobs.by_id.values():
        emit_job_state(work, job)
    for _, body in work.documents.find(FINISHED):
        work.emit(RequestFinished.model_validate(body))
    state.runners.quarantine.republish(work)


def finish_requests(state: SchedulerState, work: UnitOfWork, config: SchedulerConfig) -> None:
    """Ends each request that waits for no job any more."""
    for request in state.requests.pop_finished():
        event = outcome.finished_event(request, state.requests.jobs_of(request), config.objects_url, work.now)
        extra = {"request": request.request_id, "outcome": event.outcome, "why": event.message}
        _LOG.info("request-finished", extra=extra)
        emit_request_finished(work, event)
        state.close_request(work, request)
