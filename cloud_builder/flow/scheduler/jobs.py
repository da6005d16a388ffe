"""The life of one job outside of runners: its inputs, reuse of earlier results, the job queue, its end, its dependents.

    blocked ──all needs are finished──► inputs and input key ──► the key was built before     → finished (reused)
                                                             ──► another job builds that key  → blocked (duplicate)
                                                             ──► neither                      → queued
    finished ──► stores the result, then looks at the jobs that waited for this one (`unblock_dependents`)

`dispatch.py` takes queued jobs to runners, `results.py` brings back how their attempts ended.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from cloud_builder.model.events import Hold
from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.planning.attempt import poison, transitions
from cloud_builder.planning.inputs.inputs import (
    Readiness,
    dependencies,
    input_key,
    inputs_of,
    readiness,
    reuse_result,
)
from cloud_builder.planning.records import JobRecord, PublishedPackage
from cloud_builder.ports.mesh import UnitOfWork

from . import build_results, versions
from .config import SchedulerConfig
from .job_events import emit_job_state
from .state import SchedulerState

_LOG = logging.getLogger("cb.scheduler")


def begin_jobs(state: SchedulerState, work: UnitOfWork, jobs: Iterable[JobRecord]) -> None:
    """Starts with the stored jobs of a new request: those without needs first get their inputs."""
    for job in jobs:
        if job.is_finished:
            finish_job(state, work, job)
        elif job.needs:
            emit_job_state(work, job)
        else:
            resolve_inputs(state, work, job)
    unblock_dependents(state, work)


def resolve_inputs(state: SchedulerState, work: UnitOfWork, job: JobRecord) -> None:
    """Decides what becomes of a blocked job: it waits on, ends because of a need, is reused, or is queued."""
    verdict, causes = readiness(state.jobs.needs_of(job))
    if verdict is Readiness.WAIT:
        return
    if verdict is Readiness.SKIP:
        finish_job(state, work, transitions.skip(job, tuple(dict.fromkeys(cause.unit for cause in causes))))
        return
    if verdict is Readiness.CANCEL:
        finish_job(state, work, transitions.cancel(job, "what it needs was canceled"))
        return
    found = dependencies(
        job,
        state.requests.artifacts_of(job.request_id),
        lambda name: state.published.find(work.documents, job.target.name, name),
    )
    inputs = inputs_of(job, found.used)
    key = input_key(job, inputs)
    job = job.model_copy(update={"input_key": key, "inputs": inputs, "dependencies": found.artifacts})
    result = build_results.load_for_reuse(work, key)
    if result is not None and not job.is_forced and versions.can_be_reused(work.documents, job, result):
        finish_job(state, work, reuse_result(job, result))
        return
    job = versions.prepare(work, job, result)
    if (active := state.jobs.active_by_key.get(key)) is not None:
        _wait_for_duplicate(state, work, job, state.jobs.by_id[active])
    else:
        enqueue(state, work, job)


def _wait_for_duplicate(state: SchedulerState, work: UnitOfWork, job: JobRecord, active: JobRecord) -> None:
    """Blocks a job until another job with the same input key has finished. A queued job inherits the more urgent
    priority of the jobs that wait for it."""
    if active.state is JobState.QUEUED and job.priority.rank < active.priority.rank:
        urgent = active.model_copy(update={"priority": job.priority})
        enqueue(state, work, urgent, reason=f"{job.job_id} waits for it")
    job = job.model_copy(update={"duplicate_of": active.job_id})
    state.save_job(work, job)
    emit_job_state(work, job)


def enqueue(
    state: SchedulerState, work: UnitOfWork, job: JobRecord, reason: str = "", hold: Hold | None = None
) -> None:
    """Queues a job. A job that was queued before keeps the time since which it waits."""
    job = job.model_copy(update={"state": JobState.QUEUED, "queued_at": job.queued_at or work.now})
    state.save_job(work, job)
    emit_job_state(work, job, reason, hold)


def requeue(state: SchedulerState, work: UnitOfWork, job: JobRecord, config: SchedulerConfig) -> None:
    """Stores a job after an error: queued for another attempt, or finished."""
    if job.is_finished:
        finish_job(state, work, job)
        unblock_dependents(state, work)
    elif job.state is JobState.QUEUED:
        enqueue(state, work, job, reason=job.message, hold=poison.unconfirmed_hold(job, config.retries.poison_after))
    else:
        state.save_job(work, job)


def finish_job(state: SchedulerState, work: UnitOfWork, job: JobRecord) -> None:
    """Stores and emits the outcome of a job. `unblock_dependents` must follow, after the last of several jobs."""
    if job.is_good and job.publish:
        job = versions.describe(work.documents, state.published, job)
    state.save_job(work, job)
    level = logging.DEBUG if job.is_good else logging.INFO
    extra = {"job": job.job_id, "attempt": job.attempt, "outcome": job.outcome, "runner": job.runner_id}
    _LOG.log(level, "finished", extra={**extra, "why": job.message})
    emit_job_state(work, job)
    if job.outcome is Outcome.SUCCESS:
        build_results.save(work, job)
    if job.is_good and job.publish:
        _save_published(state, work, job)
        if job.repository is not None:
            versions.save(work, job)
    state.jobs.push_finished(job.job_id)


def unblock_dependents(state: SchedulerState, work: UnitOfWork) -> None:
    """Looks at every job that waited for a finished one, and at the dependents of those that finish by that."""
    for job in state.jobs.pop_unblocked():
        duplicate = state.jobs.by_id.get(job.duplicate_of) if job.duplicate_of else None
        if duplicate is not None and duplicate.code == poison.CODE:
            poisoned = job.model_copy(update={"losses": duplicate.losses})
            finish_job(state, work, transitions.fail_as_poison(poisoned))
        else:
            resolve_inputs(state, work, job.model_copy(update={"duplicate_of": None}))


def _save_published(state: SchedulerState, work: UnitOfWork, job: JobRecord) -> None:
    """Stores the packages of a job that is published, unless a newer request has published them already, or the
    followed branch no longer has the unit."""
    assert job.input_key is not None
    if not state.catalog.has_unit(work.documents, job.source, job.unit):
        return
    for artifact in job.artifacts:
        if artifact.package is None:
            continue
        newest = state.published.newest(work.documents, job.target.name, artifact.package.name)
        if newest is None or newest.sequence <= job.sequence:
            published = PublishedPackage(
                artifact=artifact,
                source=job.source,
                unit=job.unit,
                sequence=job.sequence,
                input_key=job.input_key,
            )
            state.published.save(work, job.target.name, published)
