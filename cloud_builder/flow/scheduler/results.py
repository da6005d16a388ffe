"""Reports become verdicts: attempts, publications, and the end of requests."""

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
from cloud_builder.planning.attempt import transitions
from cloud_builder.planning.attempt.quarantine import AttemptEnd
from cloud_builder.planning.records import RequestRecord
from cloud_builder.planning.request import outcome
from cloud_builder.ports.mesh import UnitOfWork

from .admission import finish_job, unblock_dependents
from .config import SchedulerConfig
from .dispatch import release_slot, requeue
from .job_events import emit_job_state, emit_request_finished
from .state import SchedulerState

log = logging.getLogger("cb.scheduler")


def on_attempt_started(world: SchedulerState, work: UnitOfWork, event: AttemptStarted) -> None:
    job = world.jobs.get(event.job_id)
    if job is None or not transitions.is_current(job, event.attempt):
        return
    job = transitions.start(job, event.started_at)
    world.mark_started(job)
    emit_job_state(work, job)


def on_attempt_finished(
    world: SchedulerState, work: UnitOfWork, event: AttemptFinished, config: SchedulerConfig
) -> None:
    """Only the current attempt counts; every report frees the slot it came from."""
    release_slot(world, event.runner_id, event.job_id, event.attempt)
    job = world.jobs.get(event.job_id)
    if job is None or not transitions.is_current(job, event.attempt):
        log.info("stale", extra={"job": event.job_id, "attempt": event.attempt, "runner": event.runner_id})
        world.faults.is_past_deadline(work, event)
        return
    world.faults.judge(work, job, AttemptEnd(event.outcome, event.code, event.message), config.retries.quarantine_after)
    after = transitions.finish(job, event, config.retries, work.now)
    if after.is_finished:
        finish_job(world, work, after)
        unblock_dependents(world, work)
    else:
        requeue(world, work, after, config)


def on_repository_published(world: SchedulerState, work: UnitOfWork, event: RepositoryPublished) -> None:
    where = RepositoryState(repository=event.repository, snapshot=event.snapshot, url=event.url)
    for job_id in event.jobs:
        job = world.jobs.get(job_id)
        if job is None or job.published:
            continue
        world.save_job(work, job.model_copy(update={"published": True}))
        request = world.requests[job.request_id]
        if request.repositories.get(event.repository) != where:
            repositories = {**request.repositories, event.repository: where}
            world.save_request(work, request.model_copy(update={"repositories": repositories}))


def on_publish_failed(world: SchedulerState, work: UnitOfWork, event: PublishFailed) -> None:
    """The request ends in error; waiting for a publication that will not come helps nobody."""
    for job_id in event.jobs:
        job = world.jobs.get(job_id)
        if job is None or job.published:
            continue
        world.save_job(work, job.model_copy(update={"published": True}))
        request = world.requests[job.request_id]
        message = f"{job.unit} was built, but {event.repository} could not be published: {event.message}"
        world.save_request(work, request.model_copy(update={"failure": message}))


def republish(world: SchedulerState, work: UnitOfWork) -> None:
    """To a broker that has lost its memory: where every open job stands, and the results told last."""
    for job in world.jobs.values():
        emit_job_state(work, job)
    for _, body in work.documents.find("ended"):
        work.emit(RequestFinished.model_validate(body))
    world.faults.republish(work)


def finish_requests(world: SchedulerState, work: UnitOfWork, config: SchedulerConfig) -> None:
    """Ends each request whose jobs are all over."""
    for request_id in tuple(world.maybe_finished_requests):
        request = world.requests.get(request_id)
        if request is not None and not world.open_jobs[request_id]:
            _finish(world, work, request, config)
    world.maybe_finished_requests.clear()


def _finish(world: SchedulerState, work: UnitOfWork, request: RequestRecord, config: SchedulerConfig) -> None:
    event = outcome.finished_event(request, world.jobs_of(request), config.objects_url, work.now)
    log.info("request-finished", extra={"request": request.request_id, "outcome": event.outcome, "why": event.message})
    emit_request_finished(work, event)
    world.close_request(work, request)
