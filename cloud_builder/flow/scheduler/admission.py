"""Requests become jobs, and jobs become ready: the part of the scheduler before a runner is involved."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from cloud_builder.errors import Rejected
from cloud_builder.model.events import (
    BuildCancelRequested,
    Hold,
    JobRevoked,
    RequestAccepted,
    RequestFinished,
    RequestRejected,
)
from cloud_builder.model.frozen import CachedJson
from cloud_builder.model.ids import RunnerId
from cloud_builder.model.outcome import JobState, Kind, Outcome, RequestOutcome
from cloud_builder.planning.attempt import poison, transitions
from cloud_builder.planning.graph.graph import Node
from cloud_builder.planning.inputs.inputs import (
    Readiness,
    dependencies,
    input_key,
    inputs_of,
    readiness,
    reuse_result,
)
from cloud_builder.planning.preview.model import LastBuild
from cloud_builder.planning.records import BuildResult, JobRecord, PublishedPackage, RequestRecord
from cloud_builder.planning.relations import Alternative
from cloud_builder.planning.request import supersede
from cloud_builder.planning.request.expand import BuildHistory, expand
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

from .config import SchedulerConfig
from .job_events import emit_job_state, emit_request_finished
from .plan_request import answer_plan_request, history_key, was_planned
from .state import SchedulerState

log = logging.getLogger("cb.scheduler")


def admit(
    world: SchedulerState,
    work: UnitOfWork,
    event: RequestAccepted,
    config: SchedulerConfig,
    *,
    waited: bool = False,
) -> None:
    """Expands a request into jobs. A known id changes nothing. `waited`: long enough for its snapshot, which may
    still be on its way otherwise."""
    if work.documents.get("requests", event.request_id) is not None or was_planned(work.documents, event.request_id):
        return
    if work.documents.get("canceled", event.request_id) is not None:
        reject_request(work, event, RequestOutcome.CANCELED, Rejected("canceled before it started"), config)
        return
    try:
        graph = world.atlas.graph(work.documents, event)
    except Rejected as error:
        if event.plan or waited:
            reject_request(work, event, RequestOutcome.REJECTED, error, config)
        else:
            world.early.defer(work, event)
        return
    sequence = 0 if event.plan else world.next_sequence(work)
    older = _open_pushes(world, event)
    event = supersede.absorb_unstarted(event, older)
    try:
        jobs = expand(event, graph, sequence, build_history(world, work.documents), rounds=config.cycle_rounds)
    except Rejected as error:
        reject_request(work, event, RequestOutcome.REJECTED, error, config)
        return
    if event.plan:
        answer_plan_request(world, work, event, jobs, config)
        return
    request = _record_of(event, sequence, jobs)
    log.info("accepted", extra={"request": event.request_id, "jobs": len(jobs), "revision": event.revision[:10]})
    world.save_request(work, request)
    world.begin_jobs(work, jobs)
    _supersede(world, work, event, supersede.supersede(event, jobs, older, graph.paths(event.source)))
    for job in jobs:
        if job.is_finished:
            finish_job(world, work, job)
        elif job.needs:
            emit_job_state(work, job)
        else:
            resolve_inputs(world, work, job)
    unblock_dependents(world, work)


def _record_of(event: RequestAccepted, sequence: int, jobs: Iterable[JobRecord]) -> RequestRecord:
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


def build_history(world: SchedulerState, state: Documents) -> BuildHistory:
    """What planning asks about earlier builds."""

    known: dict[str, bool] = {}

    def expected(node: Node) -> float:
        if node.source not in known:
            known[node.source] = any(state.find("history", parent=node.source, most=1))
        last = state.get("history", history_key(*node)) if known[node.source] else None
        return float((last or {}).get("seconds", 0.0))

    def is_published(target: str, wanted: Alternative) -> bool:
        return any(wanted.is_met_by(offer.artifact) for offer in world.published_packages(state, target, wanted.name))

    return BuildHistory(is_published, expected)


def _open_pushes(world: SchedulerState, event: RequestAccepted) -> list[supersede.Push]:
    older = [request for request in world.requests.values() if supersede.can_be_superseded(request, event)]
    return [supersede.Push(request, tuple(world.jobs_of(request))) for request in older]


def _supersede(
    world: SchedulerState, work: UnitOfWork, event: RequestAccepted, older: Iterable[supersede.SupersededPush]
) -> None:
    """Ends what a newer push builds instead; before its jobs look for twins."""
    for push in older:
        log.info("superseded", extra={"request": push.request.request_id, "by": event.request_id})
        world.save_request(work, push.request)
        for job in push.ended:
            revoke(work, job, f"superseded by {event.request_id}")
            finish_job(world, work, supersede.end(job, event.request_id))


def on_request_rejected(
    world: SchedulerState, work: UnitOfWork, event: RequestRejected, config: SchedulerConfig
) -> None:
    """Whoever waits on cb.result learns it. A request that we have goes on all the same: cb-request could not tell it
    again to a new broker, because its source was gone."""
    world.early.remove(work, event.request_id)
    if all(work.documents.get(place, event.request_id) is None for place in ("requests", "ended")):
        error = Rejected(event.message, code=event.code, hint=event.hint)
        reject_request(work, event, RequestOutcome.REJECTED, error, config)


def reject_request(
    work: UnitOfWork,
    event: RequestAccepted | RequestRejected,
    outcome: RequestOutcome,
    error: Rejected,
    config: SchedulerConfig,
) -> None:
    """Ends a request that never became jobs, so that whoever waits on cb.result learns it."""
    log.info("refused", extra={"request": event.request_id, "code": error.code, "why": error.message})
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


def resolve_inputs(world: SchedulerState, work: UnitOfWork, job: JobRecord) -> None:
    """The needs of a job are known: reuse what its input key led to, queue it, or end it with the cause."""
    verdict, because = readiness(world.needs_of(job))
    if verdict is Readiness.WAIT:
        return
    if verdict is not Readiness.START:
        names = tuple(dict.fromkeys(other.unit for other in because))
        ended = (
            transitions.skip(job, names)
            if verdict is Readiness.SKIP
            else transitions.cancel(job, "what it needs was canceled")
        )
        finish_job(world, work, ended)
        return
    found = dependencies(
        job,
        world.artifacts_of(job.request_id),
        lambda name: world.published_packages(work.documents, job.target.name, name),
    )
    inputs = inputs_of(job, found.used)
    key = input_key(job, inputs)
    job = job.model_copy(update={"input_key": key, "inputs": inputs, "dependencies": found.artifacts})
    built = work.documents.get("built", key)
    if built is not None:
        finish_job(world, work, reuse_result(job, world.touch_built(work, key, BuildResult.model_validate(built))))
    elif (twin := world.active_by_key.get(key)) is not None:
        _wait_for_twin(world, work, job, world.jobs[twin])
    else:
        enqueue(world, work, job)


def _wait_for_twin(world: SchedulerState, work: UnitOfWork, job: JobRecord, twin: JobRecord) -> None:
    """What waits for another's build is not to wait behind what is less urgent than itself."""
    if twin.state is JobState.QUEUED and job.priority.rank < twin.priority.rank:
        enqueue(world, work, twin.model_copy(update={"priority": job.priority}), reason=f"{job.job_id} waits for it")
    job = job.model_copy(update={"duplicate_of": twin.job_id})
    world.save_job(work, job)
    emit_job_state(work, job)


def enqueue(
    world: SchedulerState, work: UnitOfWork, job: JobRecord, reason: str = "", hold: Hold | None = None
) -> None:
    job = job.model_copy(update={"state": JobState.QUEUED, "queued_at": job.queued_at or work.now})
    world.save_job(work, job)
    emit_job_state(work, job, reason, hold)


def finish_job(world: SchedulerState, work: UnitOfWork, job: JobRecord) -> None:
    """A job has its outcome: tell it, remember what the key led to, and go on with those that waited for it."""
    world.save_job(work, job)
    said = {"outcome": job.outcome, "runner": job.runner_id, "why": job.message}
    level = logging.DEBUG if job.is_good else logging.INFO
    log.log(level, "finished", extra={"job": job.job_id, "attempt": job.attempt, **said})
    emit_job_state(work, job)
    if job.is_good:
        _remember(world, work, job)
    world.finished_jobs.append(job.job_id)


def unblock_dependents(world: SchedulerState, work: UnitOfWork) -> None:
    """Goes on with every job that waited for one that was concluded, until nothing moves."""
    while world.finished_jobs:
        for waiter in sorted(world.waiting_dependents.get(world.finished_jobs.popleft(), ())):
            job = world.jobs[waiter]
            if job.state is not JobState.BLOCKED:
                continue
            twin = world.jobs.get(job.duplicate_of) if job.duplicate_of else None
            if twin is not None and twin.code == poison.CODE:
                finish_job(world, work, transitions.fail_as_poison(job.model_copy(update={"losses": twin.losses})))
            else:
                resolve_inputs(world, work, job.model_copy(update={"duplicate_of": None}))


def _remember(world: SchedulerState, work: UnitOfWork, job: JobRecord) -> None:
    assert job.input_key is not None
    if job.outcome is Outcome.SUCCESS:
        seconds = sum(job.timings.values())
        built = BuildResult.construct_unchecked(
            job_id=job.job_id, artifacts=job.artifacts, log=job.log, seconds=seconds
        )
        world.save_built(work, job.input_key, built)
        if (job.publish or job.kind is not Kind.PACKAGE) and not job.profiles:
            last = CachedJson(LastBuild(seconds=seconds, inputs=job.inputs, job_id=job.job_id))
            key = history_key(job.source, job.unit, job.target.name)
            work.documents.put("history", key, last, parent=job.source)
    if not job.publish or not world.atlas.has_unit(work.documents, job.source, job.unit):
        return
    for artifact in job.artifacts:
        if artifact.package is not None:
            of = {"source": job.source, "unit": job.unit, "sequence": job.sequence, "input_key": job.input_key}
            offer = PublishedPackage(artifact=artifact, **of)
            known = world.published_package(work.documents, job.target.name, artifact.package.name)
            if known is None or known.sequence <= job.sequence:
                world.save_published(work, job.target.name, offer)


def cancel(world: SchedulerState, work: UnitOfWork, event: BuildCancelRequested) -> None:
    """Ends what is not finished. A request that is not known yet is remembered as canceled."""
    request = world.requests.get(event.request_id)
    if request is None:
        if work.documents.get("requests", event.request_id) is None:
            work.documents.put("canceled", event.request_id, {"requester": event.requester}, rank=work.now)
        return
    log.info("canceled", extra={"request": event.request_id, "requester": event.requester})
    reason = f"canceled by {event.requester}" if event.requester else "canceled"
    cancel_jobs(world, work, request.model_copy(update={"canceled": True}), reason)


def cancel_jobs(
    world: SchedulerState, work: UnitOfWork, request: RequestRecord, reason: str, code: str = "canceled"
) -> None:
    """Cancels what of a request has not ended; runners are told to stop."""
    world.save_request(work, request)
    for job in world.jobs_of(request):
        if not job.is_finished:
            revoke(work, job, reason)
            finish_job(world, work, transitions.cancel(job, reason, code))
    unblock_dependents(world, work)


def revoke(work: UnitOfWork, job: JobRecord, reason: str, runner_id: RunnerId | None = None) -> None:
    """Tells the runner that holds a job to stop it."""
    holder = runner_id or (job.runner_id if job.is_assigned else None)
    if holder is not None:
        work.emit(JobRevoked(job_id=job.job_id, attempt=job.attempt, runner_id=holder, reason=reason))
