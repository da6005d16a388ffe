"""Shared-queue dispatch in the scheduler: jobs are offered to a pool, and the first valid claim is granted.

`dispatch.hand_out` finds which job is next for which free slot, as always; here such a job becomes an offer where it
may (`planning.share`), and an order as soon as a runner has claimed it. Open offers keep their slots from being given
away twice. Whatever goes wrong with an offer (nobody takes it, its taker may not have it) puts the job back in its
place in the queue.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from cloud_builder.model.events import AttemptClaimed, ClaimRefused, JobOffered
from cloud_builder.model.ids import RunnerId
from cloud_builder.planning.records import JobRecord, RunnerRecord
from cloud_builder.planning.schedule import shared_queue
from cloud_builder.ports.mesh import UnitOfWork

from . import job_store
from .config import SchedulerConfig
from .job_events import assignment_for, emit_job_state
from .state import SchedulerState

log = logging.getLogger("cb.scheduler")


def reserved(world: SchedulerState) -> Mapping[RunnerId, RunnerRecord]:
    """The runners, without the slots that open offers stand for."""
    offered = [world.jobs[job_id] for job_id in world.open_offers]
    return shared_queue.reserved(world.runners, offered) if offered else world.runners


def offer_job(
    world: SchedulerState,
    work: UnitOfWork,
    job: JobRecord,
    runner_id: RunnerId,
    *,
    takers: shared_queue.QueueReaders,
    config: SchedulerConfig,
) -> bool:
    """Offers a job that was to go to this runner; False when it has to go there directly."""
    if not shared_queue.may_be_offered(job, takers):
        return False
    job = shared_queue.mark_offered(job, runner_id, work.now)
    world.save_job(work, job)
    _tell_if_left(world, work, job, config)
    queue = shared_queue.queue_of(job)
    work.emit(JobOffered(job_id=job.job_id, attempt=job.attempt + 1, queue=queue, lease=config.lease))
    log.debug("offered", extra={"job": job.job_id, "attempt": job.attempt + 1, "queue": queue})
    return True


def expire_offers(world: SchedulerState, work: UnitOfWork, config: SchedulerConfig) -> None:
    """Offers that nobody took go back into the queue; of those that nobody takes at once cb-info is told."""
    for job in [world.jobs[job_id] for job_id in world.open_offers]:
        if shared_queue.has_expired(job, work.now, config.lease):
            log.info("offer-lapsed", extra={"job": job.job_id, "attempt": job.attempt + 1, "offers": job.offer_count})
            withdraw_offer(world, work, job, f"no runner of pool {shared_queue.queue_of(job)} took it in time")
        else:
            _tell_if_left(world, work, job, config)


def withdraw_offer(world: SchedulerState, work: UnitOfWork, job: JobRecord, reason: str) -> None:
    """Into the queue again; told where it was told that it had left it."""
    may_be_told = world.open_offers[job.job_id] or shared_queue.is_unclaimed(
        job, work.now
    )  # by our life before this one
    job = shared_queue.withdraw(job)
    world.save_job(work, job)
    if may_be_told:
        emit_job_state(work, job, reason)


def _tell_if_left(world: SchedulerState, work: UnitOfWork, job: JobRecord, config: SchedulerConfig) -> None:
    if not world.open_offers[job.job_id] and shared_queue.is_unclaimed(job, work.now):
        world.open_offers[job.job_id] = True
        reason = f"offered to the runners of pool {shared_queue.queue_of(job)}, none has taken it yet"
        emit_job_state(work, job, reason, shared_queue.offer_hold(job, config.lease))


def on_claim(world: SchedulerState, work: UnitOfWork, claim: AttemptClaimed, config: SchedulerConfig) -> None:
    """The first valid claim on an open offer has it. Claims that are read again, or too late, are not answered."""
    job = world.jobs.get(claim.job_id) or job_store.load_job(work.documents, claim.job_id)
    if shared_queue.was_granted(job, claim):
        return
    runner = _usable(world, claim.runner_id, work.now)
    refusal = shared_queue.check_claim(job, claim, runner)
    if refusal is not None or job is None or runner is None:
        _refuse(world, work, claim, refusal or shared_queue.ClaimRefusal("the job has finished"), config)
        return
    job = shared_queue.grant(job, claim, work.now)
    world.save_job(work, job)
    attempts = world.runners[claim.runner_id].attempts | {(job.job_id, job.attempt)}
    world.runners[claim.runner_id] = world.runners[claim.runner_id].model_copy(update={"attempts": attempts})
    work.emit(assignment_for(job, claim.runner_id, config.lease))
    log.debug("granted", extra={"job": job.job_id, "attempt": job.attempt, "runner": claim.runner_id})


def _usable(world: SchedulerState, runner_id: RunnerId, now: float) -> RunnerRecord | None:
    """The runner with the slots that may be used now; None: it is not known, or set aside."""
    runner = world.runners.get(runner_id)
    if runner is None:
        return None
    slots = world.faults.caps(world.runners.values(), now).get(runner_id, runner.slots)
    return runner.model_copy(update={"slots": min(slots, runner.slots)}) if slots else None


def _refuse(
    world: SchedulerState,
    work: UnitOfWork,
    claim: AttemptClaimed,
    refusal: shared_queue.ClaimRefusal,
    config: SchedulerConfig,
) -> None:
    """Where the runner is the reason, the job is offered again."""
    log.info("claim-refused", extra={"job": claim.job_id, "runner": claim.runner_id, "why": refusal.reason})
    if refusal.pause:
        withdraw_offer(world, work, world.jobs[claim.job_id], f"runner {claim.runner_id} may not have it now")
    if shared_queue.is_stale(claim, work.now, config.lease):
        return
    work.emit(
        ClaimRefused(
            job_id=claim.job_id,
            attempt=claim.attempt,
            runner_id=claim.runner_id,
            reason=refusal.reason,
            pause=refusal.pause,
        )
    )
