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
    queue = share.queue_of(job)
    work.emit(JobOffered(job_id=job.job_id, attempt=job.attempt + 1, queue=queue, lease=lease))
    log.debug("offered", extra={"job": job.job_id, "attempt": job.attempt + 1, "queue": queue})
    return True


def lapse(world: World, work: Work, lease: float) -> None:
    """Offers that nobody took go back into the queue."""
    for job in [world.jobs[job_id] for job_id in world.offered]:
        if share.has_lapsed(job, work.now, lease):
            log.info("offer-lapsed", extra={"job": job.job_id, "attempt": job.attempt + 1, "offers": job.offers})
            world.save_job(work, share.withdraw(job))
