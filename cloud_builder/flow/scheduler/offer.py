"""Shared-queue dispatch in the scheduler: jobs are offered to a pool, and the first valid claim is granted.

`dispatch.hand_out` finds which job is next for which free slot, as always; here such a job becomes an offer where it
may (`planning.share`), and an order as soon as a runner has claimed it. Open offers keep their slots from being given
away twice. Whatever goes wrong with an offer (nobody takes it, its taker may not have it) puts the job back in its
place in the queue.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from cloud_builder.model.events import JobOffered
from cloud_builder.model.ids import RunnerId
from cloud_builder.planning import share
from cloud_builder.planning.records import JobRecord, RunnerRecord
from cloud_builder.ports.mesh import Work

from .telling import tell
from .world import World

log = logging.getLogger("cb.scheduler")


def reserved(world: World) -> Mapping[RunnerId, RunnerRecord]:
    """The runners, without the slots that open offers stand for."""
    offered = [world.jobs[job_id] for job_id in world.offered]
    return share.reserved(world.runners, offered) if offered else world.runners


def make(world: World, work: Work, job: JobRecord, runner_id: RunnerId, *, takers: share.Takers, lease: float) -> bool:
    """Offers a job that was to go to this runner; False when it has to go there directly."""
    if not share.may_be_offered(job, takers):
        return False
    job = share.offer(job, runner_id, work.now)
    world.save_job(work, job)
    _tell_if_left(world, work, job, lease)
    queue = share.queue_of(job)
    work.emit(JobOffered(job_id=job.job_id, attempt=job.attempt + 1, queue=queue, lease=lease))
    log.debug("offered", extra={"job": job.job_id, "attempt": job.attempt + 1, "queue": queue})
    return True


def lapse(world: World, work: Work, lease: float) -> None:
    """Offers that nobody took go back into the queue; of those that nobody takes at once cb-info is told."""
    for job in [world.jobs[job_id] for job_id in world.offered]:
        if share.has_lapsed(job, work.now, lease):
            log.info("offer-lapsed", extra={"job": job.job_id, "attempt": job.attempt + 1, "offers": job.offers})
            take_back(world, work, job, f"no runner of pool {share.queue_of(job)} took it in time")
        else:
            _tell_if_left(world, work, job, lease)


def take_back(world: World, work: Work, job: JobRecord, reason: str) -> None:
    """Into the queue again; told where it was told that it had left it."""
    may_be_told = world.offered[job.job_id] or share.is_left(job, work.now)  # by our life before this one
    job = share.withdraw(job)
    world.save_job(work, job)
    if may_be_told:
        tell(work, job, reason)


def _tell_if_left(world: World, work: Work, job: JobRecord, lease: float) -> None:
    if not world.offered[job.job_id] and share.is_left(job, work.now):
        world.offered[job.job_id] = True
        reason = f"offered to the runners of pool {share.queue_of(job)}, none has taken it yet"
        tell(work, job, reason, share.hold(job, lease))
