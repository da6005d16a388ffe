"""The free slots of all runners, by who may use them.

In come the runners as they are now; out go, for what a job asks, the runners that could take it and those of them that
have a free slot. Kept up to date by what changed, so that thousands of runners cost nothing while they do nothing new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import compress
from operator import is_not
from typing import NamedTuple

from cloud_builder.model.capacity import NOTHING, Capacity
from cloud_builder.model.ids import RunnerId
from cloud_builder.planning.records import JobRecord, RunnerRecord

MAX_CANDIDATES = 64
"""So many runners with a free slot are compared for one job; those with the most free slots come first."""


class RunnerRequirements(NamedTuple):
    """What a job asks of a runner. Empty group: any. `asks` None: nothing.

    `tried`: had the job before, and are left out while others could take it."""

    arch: str
    group: str
    asks: Capacity | None = None
    tried: tuple[RunnerId, ...] = ()

    def takes(self, runner: RunnerRecord) -> bool:
        """It could run there, now or later. Runners that had it before could, too."""
        return (
            runner.arch == self.arch
            and self.group in ("", runner.runner_group)
            and (self.asks is None or not runner.capacity.lacks(self.asks))
        )


def requirements_of(job: JobRecord) -> RunnerRequirements:
    asks = job.constraints
    nothing = asks is NOTHING or asks == NOTHING
    return RunnerRequirements(job.target.arch, job.target.runner_group, None if nothing else asks, job.tried_runners)


class _Eligible:
    """The runners of a pool, and of those with free slots which has how many."""

    __slots__ = ("free", "room", "runners")

    def __init__(self) -> None:
        self.runners: dict[RunnerId, None] = {}
        self.free: dict[int, dict[RunnerId, None]] = {}
        self.room = 0

    def count(self, runner_id: RunnerId, before: int, after: int) -> None:
        if before:
            del self.free[before][runner_id]
        if after:
            self.free.setdefault(after, {})[runner_id] = None
        self.room += after - before


class FreeSlots:
    """Pools are remembered without `tried`: those differ from job to job."""

    def __init__(self) -> None:
        self._runners: dict[RunnerId, RunnerRecord] = {}
        self._caps: Mapping[RunnerId, int] = {}
        self._free: dict[RunnerId, int] = {}
        self._pools: dict[RunnerRequirements, _Eligible] = {}
        self._taken: dict[RunnerId, None] = {}
        self.version = 0
        """Changes whenever a runner comes, goes, or becomes another one (not when only its free slots change)."""

    def update(self, runners: Mapping[RunnerId, RunnerRecord], caps: Mapping[RunnerId, int]) -> None:
        """`caps`: most slots that may be used of a runner, if not all (0: it is set aside, and still counts as one
        that could take a job)."""
        known, old_caps, self._caps = self._runners, self._caps, caps
        maybe: Iterable[RunnerId] = (
            runners  # Thousands, of which one has changed: mostly they are the same values in the same order.
        )
        if len(known) == len(runners):
            maybe = list(compress(runners, map(is_not, runners.values(), known.values())))
        for runner_id in maybe:
            runner = runners[runner_id]
            if known.get(runner_id) is not runner:
                self._put(runner)
        if len(known) > len(runners):
            for runner_id in [runner_id for runner_id in known if runner_id not in runners]:
                self._forget(runner_id)
        for runner_id in {**old_caps, **caps, **self._taken}:
            self._recount(runner_id)
        self._taken.clear()

    def take(self, runner_id: RunnerId) -> None:
        """One slot of it is used. The next `update` counts by what the runners hold then."""
        self._taken[runner_id] = None
        self._count(runner_id, self._free[runner_id] - 1)

    def eligible_runners(self, pool: RunnerRequirements) -> Mapping[RunnerId, None]:
        """All that could take a job of the pool, now or later."""
        return self._able(pool).runners

    def runner(self, runner_id: RunnerId) -> RunnerRecord:
        return self._runners[runner_id]

    def runners(self) -> tuple[RunnerRecord, ...]:
        return tuple(self._runners.values())

    def room(self, pool: RunnerRequirements, *, anywhere: bool = False) -> int:
        """Free slots for a job of the pool. `anywhere`: also where it was tried."""
        able = self._able(pool)
        tried = [runner_id for runner_id in pool.tried if runner_id in able.runners]
        if anywhere or not tried or len(tried) == len(able.runners):
            return able.room
        return able.room - sum(self._free[runner_id] for runner_id in tried)

    def open(self, pool: RunnerRequirements, *, anywhere: bool = False) -> Iterator[RunnerRecord]:
        """Runners with a free slot for a job of the pool, most free slots first."""
        able = self._able(pool)
        tried = {runner_id for runner_id in pool.tried if runner_id in able.runners}
        if anywhere or len(tried) == len(able.runners):
            tried = set()
        for free in sorted(able.free, reverse=True):
            for runner_id in able.free[free]:
                if runner_id not in tried:
                    yield self._runners[runner_id]

    def free(self, runner_id: RunnerId) -> int:
        return self._free[runner_id]

    # --- inside ---------------------------------------------------------------------------------------------------

    def _able(self, pool: RunnerRequirements) -> _Eligible:
        pool = pool._replace(tried=()) if pool.tried else pool
        able = self._pools.get(pool)
        if able is None:
            able = self._pools[pool] = _Eligible()
            for runner in self._runners.values():
                self._enter(able, pool, runner)
        return able

    def _enter(self, able: _Eligible, pool: RunnerRequirements, runner: RunnerRecord) -> None:
        if pool.takes(runner):
            able.runners[runner.runner_id] = None
            able.count(runner.runner_id, 0, self._free[runner.runner_id])

    def _put(self, runner: RunnerRecord) -> None:
        old = self._runners.get(runner.runner_id)
        if old is not None and _same(old, runner):
            self._runners[runner.runner_id] = runner
            self._recount(runner.runner_id)
            return
        if old is not None:
            self._forget(runner.runner_id)
        self.version += 1
        self._runners[runner.runner_id] = runner
        self._free[runner.runner_id] = self._allowed(runner)
        for pool, able in self._pools.items():
            self._enter(able, pool, runner)

    def _forget(self, runner_id: RunnerId) -> None:
        self.version += 1
        self._count(runner_id, 0)
        for able in self._pools.values():
            able.runners.pop(runner_id, None)
        del self._runners[runner_id], self._free[runner_id]
        self._pools = {pool: able for pool, able in self._pools.items() if able.runners}

    def _recount(self, runner_id: RunnerId) -> None:
        runner = self._runners.get(runner_id)
        if runner is not None:
            self._count(runner_id, self._allowed(runner))

    def _count(self, runner_id: RunnerId, after: int) -> None:
        before = self._free[runner_id]
        if before != after:
            self._free[runner_id] = after
            for able in self._pools.values():
                if runner_id in able.runners:
                    able.count(runner_id, before, after)

    def _allowed(self, runner: RunnerRecord) -> int:
        cap = self._caps.get(runner.runner_id, runner.slots)
        return max(0, min(runner.slots, cap) - len(runner.attempts))


def _same(one: RunnerRecord, other: RunnerRecord) -> bool:
    return (one.arch, one.runner_group) == (other.arch, other.runner_group) and one.capacity == other.capacity
