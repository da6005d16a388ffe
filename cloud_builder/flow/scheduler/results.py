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
from cloud_builder.planning.attempt.quarantine import End
from cloud_builder.planning.attempt.transitions import RetryPolicy
from cloud_builder.planning.records import RequestRecord
from cloud_builder.planning.request import outcome
from cloud_builder.ports.mesh import Work

from .admission import conclude, settle
from .dispatch import let_go, put_back
from .job_events import last_word, tell
from .state import World

log = logging.getLogger("cb.scheduler")


def started(world: World, work: Work, event: AttemptStarted) -> None:
    job = world.jobs.get(event.job_id)
    if job is None or not transitions.is_current(job, event.attempt):
        return
    job = transitions.start(job, event.started_at)
    world.note_start(job)
    tell(work, job)


def ended(world: World, work: Work, event: AttemptFinished, policy: RetryPolicy) -> None:
    """Only the current attempt counts; every report frees the slot it came from."""
    let_go(world, event.runner_id, event.job_id, event.attempt)
    job = world.jobs.get(event.job_id)
    if job is None or not transitions.is_current(job, event.attempt):
        log.info("stale", extra={"job": event.job_id, "attempt": event.attempt, "runner": event.runner_id})
        world.faults.too_late(work, event)
        return
    world.faults.judge(work, job, End(event.outcome, event.code, event.message), policy.distrust)
    after = transitions.finish(job, event, policy, work.now)
    if after.is_finished:
        conclude(world, work, after)
        settle(world, work)
    else:
        put_back(world, work, after, policy)


def published(world: World, work: Work, event: RepositoryPublished) -> None:
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


def not_published(world: World, work: Work, event: PublishFailed) -> None:
    """The request ends in error; waiting for a publication that will not come helps nobody."""
    for job_id in event.jobs:
        job = world.jobs.get(job_id)
        if job is None or job.published:
            continue
        world.save_job(work, job.model_copy(update={"published": True}))
        request = world.requests[job.request_id]
        message = f"{job.unit} was built, but {event.repository} could not be published: {event.message}"
        world.save_request(work, request.model_copy(update={"failure": message}))


def tell_again(world: World, work: Work) -> None:
    """To a broker that has lost its memory: where every open job stands, and the results told last."""
    for job in world.jobs.values():
        tell(work, job)
    for _, body in work.state.find("ended"):
        work.emit(RequestFinished.model_validate(body))
    world.faults.tell_again(work)


def finish_requests(world: World, work: Work, objects_url: str) -> None:
    """Ends each request whose jobs are all over."""
    for request_id in tuple(world.to_finish):
        request = world.requests.get(request_id)
        if request is not None and not world.open_jobs[request_id]:
            _finish(world, work, request, objects_url)
    world.to_finish.clear()


def _finish(world: World, work: Work, request: RequestRecord, objects_url: str) -> None:
    event = outcome.finished(request, world.jobs_of(request), objects_url, work.now)
    log.info("request-finished", extra={"request": request.request_id, "outcome": event.outcome, "why": event.message})
    last_word(work, event)
    world.close_request(work, request)
