"""An index of the runners: which ones are eligible for a job, and which of them have a free slot.

Input: the runners as they are now. Output, for a job's requirements: the eligible runners, and those with a free slot.
The index is updated only for runners that changed, so that thousands of idle runners cost nothing.
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
"""The most runners with a free slot that are compared for one job: those with the most free slots."""


class RunnerRequirements(NamedTuple):
    """The requirements of a job on its runner.

    `group`: empty: any.
    `capacity`: None: nothing.
    `tried`: runners that had the job before; they are left out while other runners could take it.
    """

    arch: str
    group: str
    capacity: Capacity | None = None
    tried: tuple[RunnerId, ...] = ()

    def takes(self, runner: RunnerRecord) -> bool:
        """True if the job could run there, now or later; also on a runner that had it before."""
        return (
            runner.arch == self.arch
            and self.group in ("", runner.runner_group)
            and (self.capacity is None or not runner.capacity.lacks(self.capacity))
        )


def requirements_of(job: JobRecord) -> RunnerRequirements:
    capacity = job.constraints
    nothing = capacity is NOTHING or capacity == NOTHING
    return RunnerRequirements(
        job.target.arch, job.target.runner_group, None if nothing else capacity, job.tried_runners
    )


class _Eligible:
    """The runners that meet some requirements, and those of them with free slots, by their number. `total`: all free
    slots."""

    __slots__ = ("by_free", "runners", "total")

    def __init__(self) -> None:
        self.runners: dict[RunnerId, None] = {}
        self.by_free: dict[int, dict[RunnerId, None]] = {}
        self.total = 0

    def count(self, runner_id: RunnerId, before: int, after: int) -> None:
        if before:
            del self.by_free[before][runner_id]
        if after:
            self.by_free.setdefault(after, {})[runner_id] = None
        self.total += after - before


class FreeSlots:
    """The index. Requirements are kept without `tried`, which differs from job to job."""

    def __init__(self) -> None:
        self._runners: dict[RunnerId, RunnerRecord] = {}
        self._limits: Mapping[RunnerId, int] = {}
        self._free: dict[RunnerId, int] = {}
        self._eligible: dict[RunnerRequirements, _Eligible] = {}
        self._taken: dict[RunnerId, None] = {}
        self.version = 0
        """Increases when a runner appears, leaves, or meets other requirements; not when only its free slots change."""

    def update(self, runners: Mapping[RunnerId, RunnerRecord], limits: Mapping[RunnerId, int]) -> None:
        """Takes over the runners as they are now.

        `limits`: the most slots of a runner that may be used, if not all. 0: the runner is in quarantine, and still
        counts as eligible."""
        before, limits_before, self._limits = self._runners, self._limits, limits
        candidates: Iterable[RunnerId] = runners
        if len(before) == len(runners):  # Mostly the same thousands of values in the same order, of which one changed.
            candidates = list(compress(runners, map(is_not, runners.values(), before.values())))
        for runner_id in candidates:
            runner = runners[runner_id]
            if before.get(runner_id) is not runner:
                self._put(runner)
        if len(before) > len(runners):
            for runner_id in [runner_id for runner_id in before if runner_id not in runners]:
                self._remove(runner_id)
        for runner_id in {**limits_before, **limits, **self._taken}:
            self._recount(runner_id)
        self._taken.clear()

    def take(self, runner_id: RunnerId) -> None:
        """Counts one slot as used until the next `update`, which counts by the attempts of the runners."""
        self._taken[runner_id] = None
        self._count(runner_id, self._free[runner_id] - 1)

    def eligible_runners(self, requirements: RunnerRequirements) -> Mapping[RunnerId, None]:
        """Returns all runners that meet the requirements, with free slots or not."""
        return self._of(requirements).runners

    def runner(self, runner_id: RunnerId) -> RunnerRecord:
        return self._runners[runner_id]

    def runners(self) -> tuple[RunnerRecord, ...]:
        return tuple(self._runners.values())

    def count_free(self, requirements: RunnerRequirements, *, anywhere: bool = False) -> int:
        """Returns the number of free slots for such a job. `anywhere`: also on runners that had it."""
        eligible = self._of(requirements)
        tried = [runner_id for runner_id in requirements.tried if runner_id in eligible.runners]
        if anywhere or not tried or len(tried) == len(eligible.runners):
            return eligible.total
        return eligible.total - sum(self._free[runner_id] for runner_id in tried)

    def runners_with_free(self, requirements: RunnerRequirements, *, anywhere: bool = False) -> Iterator[RunnerRecord]:
        """Returns the runners with a free slot for such a job, most free slots first. `anywhere`: as above."""
        eligible = self._of(requirements)
        tried = {runner_id for runner_id in requirements.tried if runner_id in eligible.runners}
        if anywhere or len(tried) == len(eligible.runners):
            tried = set()
        for free in sorted(eligible.by_free, reverse=True):
            for runner_id in eligible.by_free[free]:
                if runner_id not in tried:
                    yield self._runners[runner_id]

    def free(self, runner_id: RunnerId) -> int:
        return self._free[runner_id]

    # --- inside ---------------------------------------------------------------------------------------------------

    def _of(self, requirements: RunnerRequirements) -> _Eligible:
        requirements = requirements._replace(tried=()) if requirements.tried else requirements
        eligible = self._eligible.get(requirements)
        if eligible is None:
            eligible = self._eligible[requirements] = _Eligible()
            for runner in self._runners.values():
                self._enter(eligible, requirements, runner)
        return eligible

    def _enter(self, eligible: _Eligible, requirements: RunnerRequirements, runner: RunnerRecord) -> None:
        if requirements.takes(runner):
            eligible.runners[runner.runner_id] = None
            eligible.count(runner.runner_id, 0, self._free[runner.runner_id])

    def _put(self, runner: RunnerRecord) -> None:
        before = self._runners.get(runner.runner_id)
        if before is not None and _meets_the_same(before, runner):
            self._runners[runner.runner_id] = runner
            self._recount(runner.runner_id)
            return
        if before is not None:
            self._remove(runner.runner_id)
        self.version += 1
        self._runners[runner.runner_id] = runner
        self._free[runner.runner_id] = self._count_usable(runner)
        for requirements, eligible in self._eligible.items():
            self._enter(eligible, requirements, runner)

    def _remove(self, runner_id: RunnerId) -> None:
        self.version += 1
        self._count(runner_id, 0)
        for eligible in self._eligible.values():
            eligible.runners.pop(runner_id, None)
        del self._runners[runner_id], self._free[runner_id]
        self._eligible = {required: eligible for required, eligible in self._eligible.items() if eligible.runners}

    def _recount(self, runner_id: RunnerId) -> None:
        runner = self._runners.get(runner_id)
        if runner is not None:
            self._count(runner_id, self._count_usable(runner))

    def _count(self, runner_id: RunnerId, after: int) -> None:
        before = self._free[runner_id]
        if before != after:
            self._free[runner_id] = after
            for eligible in self._eligible.values():
                if runner_id in eligible.runners:
                    eligible.count(runner_id, before, after)

    def _count_usable(self, runner: RunnerRecord) -> int:
        limit = self._limits.get(runner.runner_id, runner.slots)
        return max(0, min(runner.slots, limit) - len(runner.attempts))


def _meets_the_same(before: RunnerRecord, after: RunnerRecord) -> bool:
    """True if both meet the same requirements. Attempts and caches may differ."""
    return (before.arch, before.runner_group) == (after.arch, after.runner_group) and before.capacity == after.capacity
