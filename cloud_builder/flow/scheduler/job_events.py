"""Makes and emits the scheduler's events about jobs and requests from their records."""

from __future__ import annotations

from typing import Any, TypeVar

from cloud_builder.model.events import (
    Hold,
    JobAssigned,
    JobBlocked,
    JobEvent,
    JobFinished,
    JobQueued,
    JobRevoked,
    JobRunning,
    RequestFinished,
)
from cloud_builder.model.ids import RunnerId
from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.planning.records import JobRecord
from cloud_builder.ports.mesh import UnitOfWork

E = TypeVar("E", bound=JobEvent)

FINISHED = "finished-requests"
"""Collection: the newest `request.finished` events, by request."""
RESULTS_KEPT_FOR_REPUBLISH = 50
"""The newest results, which are emitted again for a broker that has lost its data."""


def job_event(event: type[E], job: JobRecord, now: float, **fields: Any) -> E:
    """Returns a job event with the fields that all job events have, and its own `fields`."""
    return event.construct_unchecked(
        job_id=job.job_id,
        request_id=job.request_id,
        source=job.source,
        revision=job.revision,
        unit=job.unit,
        target=job.target,
        at=now,
        round=job.round,
        profiles=job.profiles,
        build_options=job.build_options,
        **fields,
    )


def assignment_for(job: JobRecord, runner_id: RunnerId, lease: float) -> JobAssigned:
    assert job.input_key is not None
    return JobAssigned.construct_unchecked(
        job_id=job.job_id,
        attempt=job.attempt,
        runner_id=runner_id,
        request_id=job.request_id,
        source=job.source,
        url=job.url,
        revision=job.revision,
        unit=job.unit,
        directory=job.directory,
        name=job.name,
        kind=job.kind,
        tree=job.tree,
        target=job.target,
        input_key=job.input_key,
        buildroot=job.buildroot,
        repositories=job.repositories,
        profiles=job.profiles,
        build_options=job.build_options,
        rebuild=job.rebuild,
        dependencies=job.dependencies,
        lease=lease,
    )


def emit_job_state(work: UnitOfWork, job: JobRecord, reason: str = "", hold: Hold | None = None) -> None:
    """Emits the event for a job's present state. `reason` and `hold`: why a queued job waits."""
    if job.is_finished:
        work.emit(job_finished_event(job, work.now))
    elif job.state is JobState.RUNNING:
        assert job.runner_id is not None
        work.emit(job_event(JobRunning, job, work.now, attempt=job.attempt, runner_id=job.runner_id))
    elif job.state is JobState.BLOCKED and job.duplicate_of:
        reason = "the same inputs are being built"
        work.emit(job_event(JobBlocked, job, work.now, waiting_for=(job.duplicate_of,), reason=reason))
    elif job.state is JobState.BLOCKED:
        work.emit(job_event(JobBlocked, job, work.now, waiting_for=job.needs, reason="waits for what it builds with"))
    else:
        spec = {
            "input_key": job.input_key,
            "attempt": job.attempt,
            "not_before": job.not_before,
            "is_forced": job.is_forced,
            "inputs": job.inputs,
            "priority": job.priority,
            "constraints": job.constraints,
            "expected_seconds": job.expected_seconds,
            "critical_path": job.critical_path,
        }
        work.emit(job_event(JobQueued, job, work.now, **spec, reason=reason, hold=hold))


def job_finished_event(job: JobRecord, now: float) -> JobFinished:
    return job_event(
        JobFinished,
        job,
        now,
        outcome=job.outcome,
        attempt=job.attempt,
        runner_id=job.runner_id,
        input_key=job.input_key,
        artifacts=job.artifacts,
        log=job.log,
        code=job.code,
        message=job.message,
        hint=job.hint,
        step=job.step,
        reused_from=job.reused_from,
        timings=job.timings,
        tree=job.tree,
        source_version=job.source_version,
        replaced_version=job.replaced_version,
        notes=job.notes,
        publish=job.publish,
        repository=job.repository,
        sequence=job.sequence,
        skipped_for=job.needs if job.outcome is Outcome.SKIPPED and not job.is_good else (),
    )


def emit_job_revoked(work: UnitOfWork, job: JobRecord, reason: str) -> None:
    """Emits `job.revoked` to the runner that has a job, so that it stops. Emits nothing if no runner has it."""
    if job.is_assigned and job.runner_id is not None:
        work.emit(JobRevoked(job_id=job.job_id, attempt=job.attempt, runner_id=job.runner_id, reason=reason))


def emit_request_finished(work: UnitOfWork, finished: RequestFinished) -> None:
    """Emits the end of a request. Stores the newest ends for a broker that loses its data before all consumers have
    read them."""
    work.emit(finished)
    work.documents.put(FINISHED, finished.request_id, finished.model_dump(mode="json"), rank=finished.finished_at)
    for oldest, _ in list(
        work.documents.find(FINISHED, most=max(0, work.documents.count(FINISHED) - RESULTS_KEPT_FOR_REPUBLISH))
    ):
        work.documents.delete(FINISHED, oldest)
