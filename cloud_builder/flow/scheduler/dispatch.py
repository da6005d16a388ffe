"""Jobs become orders, and silence ends leases: the part of the scheduler that faces the runners."""

from __future__ import annotations

import logging
from collections import defaultdict

from cloud_builder.model.events import RunnerDraining, RunnerSeen
from cloud_builder.model.ids import JobId, RunnerId
from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.planning.attempt import poison, transitions
from cloud_builder.planning.attempt.quarantine import AttemptEnd
from cloud_builder.planning.records import JobRecord, RunnerLoss, RunnerRecord
from cloud_builder.planning.schedule.match import match
from cloud_builder.planning.schedule.shared_queue import QueueReaders
from cloud_builder.ports.mesh import UnitOfWork

from . import shared_queue
from .admission import enqueue, finish_job, revoke, unblock_dependents
from .config import SchedulerConfig
from .job_events import assignment_for
from .state import SchedulerState

log = logging.getLogger("cb.scheduler")

ASSUMED_STARTED_AFTER = 5.0
"""Seconds after which a job that its runner lists is being built."""


def on_runner_seen(world: SchedulerState, work: UnitOfWork, event: RunnerSeen, config: SchedulerConfig) -> None:
    """A heartbeat: what the runner holds by its own word, joined with what we ordered.

    What it does not list it has not read yet, or it has ended and the report is on its way (another topic, any order):
    only after a lease is it lost. What an earlier life of the runner held is lost at once: that life is over."""
    known = world.runners.get(event.runner_id)
    if known is None or known.started_at != event.started_at:
        log.info("runner-here", extra={"runner": event.runner_id, "slots": event.slots, "group": event.runner_group})
    for doubted in world.faults.on_runner_seen(world, event.runner_id, event.started_at, config.retries, work.now):
        requeue(world, work, doubted, config)
    listed = {(held.job_id, held.attempt) for held in event.attempts}
    ordered = {(job_id, world.jobs[job_id].attempt) for job_id in world.jobs_by_runner[event.runner_id]} - listed
    for held in listed:
        world.missing_from_heartbeat.pop(held, None)
        job = world.jobs.get(held[0])
        if job is not None and transitions.is_current(job, held[1]):
            _is_held(world, work, job, event)
    for job_id, attempt in tuple(ordered):
        job = world.jobs[job_id]
        since = world.missing_from_heartbeat.setdefault((job_id, attempt), work.now)
        died = job.runner_incarnation != event.started_at and job.begun_at < event.started_at
        if died or work.now - since > config.lease:
            ordered.discard((job_id, attempt))
            told = "died while it built this" if died and job.begun_at else "no longer has it"
            death = poison.runner_loss(job) if died else None
            abandon_attempt(world, work, job, f"runner {event.runner_id} {told}", config, death=death)
    world.runners[event.runner_id] = RunnerRecord(
        runner_id=event.runner_id,
        runner_group=event.runner_group,
        arch=event.arch,
        slots=event.slots,
        started_at=event.started_at,
        last_seen=work.now,
        attempts=frozenset(listed | ordered),
        capacity=event.capacity,
        buildroots=frozenset(event.buildroots),
        layers=frozenset(event.layers),
        sources=frozenset(event.sources),
        queues=frozenset(event.queues),
    )


def _is_held(world: SchedulerState, work: UnitOfWork, job: JobRecord, event: RunnerSeen) -> None:
    """By its runner's own word. That it has begun is not written down, so after a restart of ours this tells."""
    if job.runner_incarnation != event.started_at:
        world.save_job(work, job.model_copy(update={"runner_incarnation": event.started_at}))
    elif not job.begun_at and work.now - job.assigned_at > ASSUMED_STARTED_AFTER:
        world.mark_started(transitions.mark_started(job, event.at))


def on_runner_draining(world: SchedulerState, work: UnitOfWork, event: RunnerDraining) -> None:
    log.info("runner-leaves", extra={"runner": event.runner_id, "why": event.reason})
    world.runners.pop(event.runner_id, None)
    world.faults.returned(work, event.runner_id)


def release_slot(world: SchedulerState, runner_id: RunnerId, job_id: JobId, attempt: int) -> None:
    """The runner's slot is free again."""
    world.missing_from_heartbeat.pop((job_id, attempt), None)
    runner = world.runners.get(runner_id)
    if runner is not None:
        world.runners[runner_id] = runner.model_copy(update={"attempts": runner.attempts - {(job_id, attempt)}})


def abandon_attempt(
    world: SchedulerState,
    work: UnitOfWork,
    job: JobRecord,
    reason: str,
    config: SchedulerConfig,
    *,
    death: RunnerLoss | None = None,
) -> None:
    """An attempt is given up. Whoever still works on it is told, and its result will not count. `death`: the runner's,
    if it may have been the job's doing."""
    world.missing_from_heartbeat.pop((job.job_id, job.attempt), None)
    log.warning("lost", extra={"job": job.job_id, "attempt": job.attempt, "runner": job.runner_id, "why": reason})
    revoke(work, job, reason)
    if death is not None and death.is_confirmed:
        world.faults.judge(
            work, job, AttemptEnd(Outcome.ERROR, transitions.RUNNER_RESTARTED, reason), config.retries.quarantine_after
        )
    after = transitions.retry_or_fail(job, reason, config.retries, work.now, loss=death, code="runner-lost")
    requeue(world, work, after, config)


def requeue(world: SchedulerState, work: UnitOfWork, job: JobRecord, config: SchedulerConfig) -> None:
    """After an error: into the queue, or over."""
    if job.is_finished:
        finish_job(world, work, job)
        unblock_dependents(world, work)
    elif job.state is JobState.QUEUED:
        enqueue(world, work, job, reason=job.message, hold=poison.unconfirmed_hold(job, config.retries.poison_after))
    else:
        world.save_job(work, job)


def check_leases(world: SchedulerState, work: UnitOfWork, config: SchedulerConfig, since: float) -> None:
    """Runners silent for a lease lose their jobs. `since`: when we began to listen; before that nobody was silent."""
    for runner_id, held in list(world.jobs_by_runner.items()):
        if not held:
            continue
        runner = world.runners.get(runner_id)
        silent = work.now - max(runner.last_seen if runner else 0.0, since)
        for job_id in tuple(held) if silent > config.lease else ():
            job = world.jobs[job_id]
            if not 0 <= work.now - job.assigned_at <= config.lease:  # in the future: the clock was ahead
                reason = f"runner {runner_id} was silent for {silent:.0f} s"
                abandon_attempt(world, work, job, reason, config, death=poison.runner_loss(job, is_confirmed=False))
    for runner_id, runner in list(world.runners.items()):
        if work.now - max(runner.last_seen, since) > config.lease:
            log.warning("runner-silent", extra={"runner": runner_id})
            del world.runners[runner_id]
    for job in world.faults.due(world, config.retries, work.now) if work.now - since > config.lease else ():
        requeue(world, work, job, config)
    world.faults.forget(work, world.runners)


def dispatch_jobs(world: SchedulerState, work: UnitOfWork, config: SchedulerConfig) -> None:
    """Gives waiting jobs to free slots; with shared queues, offers them where it may."""
    world.release_delayed(work.now)
    world.free_slots.update(shared_queue.reserved(world), world.faults.caps(world.runners.values(), work.now))
    takers = QueueReaders(world.runners.values()) if config.is_shared else None
    taken: dict[RunnerId, set[tuple[JobId, int]]] = defaultdict(set)
    for assignment in match(world.queue, world.free_slots, world.jobs, work.now):
        runner = world.runners[assignment.runner_id]
        waiting = world.jobs[assignment.job_id]
        if crowd := world.faults.suspects_on(world, waiting, runner.runner_id):
            later = transitions.delay_for_isolation(waiting, work.now)
            reason = poison.isolation_reason(crowd, runner.runner_id)
            enqueue(world, work, later, reason, poison.isolation_hold(later, crowd, runner.runner_id))
            continue
        if takers is not None and shared_queue.offer_job(
            world, work, waiting, runner.runner_id, takers=takers, config=config
        ):
            continue
        job = transitions.assign(waiting, runner.runner_id, runner.started_at, work.now)
        taken[runner.runner_id].add((job.job_id, job.attempt))
        world.save_job(work, job)
        work.emit(assignment_for(job, runner.runner_id, config.lease))
        log.debug("assigned", extra={"job": job.job_id, "attempt": job.attempt, "runner": runner.runner_id})
    for runner_id, attempts in taken.items():
        runner = world.runners[runner_id]
        world.runners[runner_id] = runner.model_copy(update={"attempts": runner.attempts | attempts})
