"""A job that no live runner could ever take says so, at once and once, instead of waiting without a cause."""

from __future__ import annotations

from cloud_builder.model.events import JobBlocked
from cloud_builder.model.ids import JobId
from cloud_builder.planning.schedule.free_slots import Pool
from cloud_builder.planning.schedule.unschedulable import lacking
from cloud_builder.ports.mesh import Work

from .state import World, about


class Blocked:
    """What was told. `slots` of the world are as the last handing out left them."""

    def __init__(self) -> None:
        self._told: dict[Pool, str] = {}
        self._version = (-1, -1)
        self._fresh: list[JobId] = []

    def tell(self, world: World, work: Work) -> None:
        """Of each job that waits where no runner is, once, and again when the cause has become another one."""
        fresh, self._fresh, world.enqueued = self._fresh, world.enqueued, []
        version = (world.slots.version, world.faults.version)
        changed, self._version = self._version != version, version
        for pool in world.pools() if changed else {world.pool_of(job_id) for job_id in fresh if job_id in world.order}:
            able = [world.slots.runner(runner_id) for runner_id in world.slots.able(pool)]
            reason = world.faults.why_none(able) if able else lacking(pool, world.slots.runners())
            if not reason:
                self._told.pop(pool, None)
                continue
            whole = self._told.get(pool) != reason
            self._told[pool] = reason
            self._say(world, work, pool, reason, world.waiting(pool) if whole else fresh)

    def _say(self, world: World, work: Work, pool: Pool, reason: str, jobs: list[JobId]) -> None:
        queued_now = set(self._fresh)  # The others are told that first, or they would not hear what it asks for.
        for job_id in jobs:
            if job_id in world.order and job_id not in queued_now and world.pool_of(job_id) == pool:
                work.emit(about(JobBlocked, world.jobs[job_id], work.now, reason=reason))
