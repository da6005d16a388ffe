"""Shared-queue dispatch in the scheduler: offers jobs to the runners of a pool, and grants the first valid claim.

`dispatch_jobs` finds the next job for each free slot, as with directed dispatch; here such a job becomes an offer where
possible, and an assignment as soon as a runner has claimed it. An open offer reserves its slot. A job whose offer is
not claimed, or claimed by a runner that may not have it, returns to its position in the job queue. The rules are in
`planning/schedule/shared_queue.py`.
"""

from __future__ import annotations

import logging

from cloud_builder.model.events import AttemptClaimed, ClaimRefused, JobOffered
from cloud_builder.model.ids import RunnerId
from cloud_builder.planning.records import JobRecord
from cloud_builder.planning.schedule import shared_queue
from cloud_builder.planning.schedule.shared_queue import ClaimRefusal, QueueReaders
from cloud_builder.ports.mesh import UnitOfWork

from . import job_store
from .config import SchedulerConfig
from .job_events import assignment_for, emit_job_state
from .state import SchedulerState

_LOG = logging.getLogger("cb.scheduler")


def offer_job(
    state: SchedulerState,
    work: UnitOfWork,
    job: JobRecord,
    runner_id: RunnerId,
    *,
    readers: QueueReaders,
    config: SchedulerConfig,
) -> bool:
    """Offers a job that was matched with a runner; False if the job must be assigned to that runner directly."""
    if not shared_queue.may_be_offered(job, readers):
        return False
    job = shared_queue.mark_offered(job, runner_id, work.now)
    state.save_job(work, job)
    _report_unclaimed(state, work, job, config)
    queue = shared_queue.queue_of(job)
    work.emit(JobOffered(job_id=job.job_id, attempt=job.attempt + 1, queue=queue, lease=config.lease))
    _LOG.debug("offered", extra={"job": job.job_id, "attempt": job.attempt + 1, "queue": queue})
    return True


def expire_offers(state: SchedulerState, work: UnitOfWork, config: SchedulerConfig) -> None:
    """Withdraws the offers that no runner claimed in time, and reports those that are not claimed at once."""
    for job in state.jobs.offered():
        if shared_queue.has_expired(job, work.now, config.lease):
            extra = {"job": job.job_id, "attempt": job.attempt + 1, "offers": job.offer_count}
            _LOG.info("offer-expired", extra=extra)
            _withdraw_offer(state, work, job, f"no runner of pool {shared_queue.queue_of(job)} claimed it in time")
        else:
            _report_unclaimed(state, work, job, config)


def on_claim(state: SchedulerState, work: UnitOfWork, claim: AttemptClaimed, config: SchedulerConfig) -> None:
    """Grants the first valid claim on an open offer, and refuses the others. Ignores a claim that was granted before
    and is read again."""
    job = state.jobs.by_id.get(claim.job_id) or job_store.load_job(work.documents, claim.job_id)
    if shared_queue.was_granted(job, claim):
        return
    runner = state.runners.with_usable_slots(claim.runner_id, work.now)
    refusal = shared_queue.check_claim(job, claim, runner)
    if refusal is not None or job is None or runner is None:
        _refuse(state, work, claim, refusal or ClaimRefusal("the job has finished"), config)
        return
    job = shared_queue.grant(job, claim, work.now)
    state.save_job(work, job)
    state.runners.occupy(claim.runner_id, {(job.job_id, job.attempt)})
    work.emit(assignment_for(job, claim.runner_id, config.lease))
    _LOG.debug("granted", extra={"job": job.job_id, "attempt": job.attempt, "runner": claim.runner_id})


def _refuse(
    state: SchedulerState, work: UnitOfWork, claim: AttemptClaimed, refusal: ClaimRefusal, config: SchedulerConfig
) -> None:
    """Refuses a claim. Withdraws the offer if the runner is the reason, so that another runner gets the job. Does not
    answer a claim that is too old for its runner to wait for an answer."""
    _LOG.info("claim-refused", extra={"job": claim.job_id, "runner": claim.runner_id, "why": refusal.reason})
    if refusal.pause:
        reason = f"runner {claim.runner_id} may not have it now"
        _withdraw_offer(state, work, state.jobs.by_id[claim.job_id], reason)
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


def _withdraw_offer(state: SchedulerState, work: UnitOfWork, job: JobRecord, reason: str) -> None:
    """Returns an offered job to the queue. Emits `job.queued` only if the offer was reported as unclaimed, perhaps
    before a restart of this scheduler; otherwise its consumers still see the job as queued."""
    was_reported = state.jobs.is_offer_reported(job.job_id) or shared_queue.is_unclaimed(job, work.now)
    job = shared_queue.withdraw(job)
    state.save_job(work, job)
    if was_reported:
        emit_job_state(work, job, reason)


def _report_unclaimed(state: SchedulerState, work: UnitOfWork, job: JobRecord, config: SchedulerConfig) -> None:
    """Emits once that an offer is not claimed at once, for cb-info."""
    if not state.jobs.is_offer_reported(job.job_id) and shared_queue.is_unclaimed(job, work.now):
        state.jobs.mark_offer_reported(job.job_id)
        reason = f"offered to the runners of pool {shared_queue.queue_of(job)}, none has claimed it yet"
        emit_job_state(work, job, reason, shared_queue.offer_hold(job, config.lease))
