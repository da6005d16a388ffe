"""A job that no live runner could ever take says so, at once and once, instead of waiting without a cause."""

from __future__ import annotations

from cloud_builder.model.events import JobBlocked
from cloud_builder.model.ids import JobId
from cloud_builder.planning.schedule.free_slots import RunnerRequirements
from cloud_builder.planning.schedule.unschedulable import why_unschedulable
from cloud_builder.ports.mesh import UnitOfWork

from .state import SchedulerState, job_event


class UnschedulableReporter:
    """What was told. `slots` of the world are as the last handing out left them."""

    def __init__(self) -> None:
        self._told: dict[RunnerRequirements, str] = {}
        self._version = (-1, -1)
        self._fresh: list[JobId] = []

    def tell(self, world: SchedulerState, work: UnitOfWork) -> None:
        """Of each job that waits where no runner is, once, and again when the cause has become another one."""
        fresh, self._fresh, world.newly_queued = self._fresh, world.newly_queued, []
        version = (world.free_slots.version, world.faults.version)
        changed, self._version = self._version != version, version
        for pool in world.pools() if changed else {world.pool_of(job_id) for job_id in fresh if job_id in world.queue}:
            able = [world.free_slots.runner(runner_id) for runner_id in world.free_slots.eligible_runners(pool)]
            reason = world.faults.why_none(able) if able else why_unschedulable(pool, world.free_slots.runners())
            if not reason:
                self._told.pop(pool, None)
                continue
            whole = self._told.get(pool) != reason
            self._told[pool] = reason
            self._say(world, work, pool, reason, world.waiting(pool) if whole else fresh)

    def _say(
        self, world: SchedulerState, work: UnitOfWork, pool: RunnerRequirements, reason: str, jobs: list[JobId]
    ) -> None:
        queued_now = set(self._fresh)  # The others are told that first, or they would not hear what it asks for.
        for job_id in jobs:
            if job_id in world.queue and job_id not in queued_now and world.pool_of(job_id) == pool:
                work.emit(job_event(JobBlocked, world.jobs[job_id], work.now, reason=reason))
