"""Claims become orders: the second half of shared-queue dispatch in the scheduler (the first is `offer`).

A claim that is granted ends in an ordinary `job.assigned`, so that fencing, leases, cancel and reports are as for any
other job. One that is not is answered, so that the runner has its slot back at once.
"""

from __future__ import annotations

import logging

from cloud_builder.model.events import AttemptClaimed, ClaimRefused
from cloud_builder.model.ids import RunnerId
from cloud_builder.planning import share
from cloud_builder.planning.records import RunnerRecord
from cloud_builder.ports.mesh import Work

from . import ledger, offer
from .dispatch import order_of
from .world import World

log = logging.getLogger("cb.scheduler")


def claimed(world: World, work: Work, claim: AttemptClaimed, lease: float) -> None:
    """The first valid claim on an open offer has it. Claims that are read again, or too late, are not answered."""
    job = world.jobs.get(claim.job_id) or ledger.find(work.state, claim.job_id)
    if share.was_granted(job, claim):
        return
    runner = _usable(world, claim.runner_id, work.now)
    refusal = share.judge(job, claim, runner)
    if refusal is not None or job is None or runner is None:
        _refuse(world, work, claim, refusal or share.Refusal("the job is over"), lease)
        return
    job = share.grant(job, claim, work.now)
    world.save_job(work, job)
    attempts = world.runners[claim.runner_id].attempts | {(job.job_id, job.attempt)}
    world.runners[claim.runner_id] = world.runners[claim.runner_id].model_copy(update={"attempts": attempts})
    work.emit(order_of(job, claim.runner_id, lease))
    log.debug("granted", extra={"job": job.job_id, "attempt": job.attempt, "runner": claim.runner_id})


def _usable(world: World, runner_id: RunnerId, now: float) -> RunnerRecord | None:
    """The runner with the slots that may be used now; None: it is not known, or set aside."""
    runner = world.runners.get(runner_id)
    if runner is None:
        return None
    slots = world.faults.caps(world.runners.values(), now).get(runner_id, runner.slots)
    return runner.model_copy(update={"slots": min(slots, runner.slots)}) if slots else None


def _refuse(world: World, work: Work, claim: AttemptClaimed, refusal: share.Refusal, lease: float) -> None:
    """Where the runner is the reason, the job is offered again."""
    log.info("claim-refused", extra={"job": claim.job_id, "runner": claim.runner_id, "why": refusal.reason})
    if refusal.pause:
        offer.take_back(world, work, world.jobs[claim.job_id], f"runner {claim.runner_id} may not have it now")
    if share.is_stale(claim, work.now, lease):
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
