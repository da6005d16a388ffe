"""Which waiting job goes to which runner. Looks at no more of the queue than there are free slots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from cloud_builder.model.ids import JobId, RunnerId

from .records import JobRecord, RunnerRecord


class Pool(NamedTuple):
    """What a job asks of a runner. Empty group: any."""

    arch: str
    group: str

    def takes(self, runner: RunnerRecord) -> bool:
        return runner.arch == self.arch and self.group in ("", runner.runner_group)


@dataclass(frozen=True)
class Assignment:
    job_id: JobId
    runner_id: RunnerId


def pool_of(job: JobRecord) -> Pool:
    return Pool(job.target.arch, job.target.runner_group)


def match(queues: Mapping[Pool, Iterable[JobRecord]], runners: Iterable[RunnerRecord]) -> list[Assignment]:
    """Assigns each pool's jobs in their order, to the runner with most free slots; a retry goes elsewhere if it can."""
    live = {runner.runner_id: runner for runner in runners}
    free = {runner_id: runner.free for runner_id, runner in live.items()}
    assignments: list[Assignment] = []
    for pool, queue in queues.items():
        able = [runner_id for runner_id, runner in sorted(live.items()) if pool.takes(runner)]
        room = sum(free[runner_id] for runner_id in able)
        for job in queue if room else ():
            runner_id = _choose(job, able, free)
            if runner_id is not None:
                free[runner_id] -= 1
                room -= 1
                assignments.append(Assignment(job.job_id, runner_id))
            if not room:
                break
    return assignments


def _choose(job: JobRecord, able: list[RunnerId], free: Mapping[RunnerId, int]) -> RunnerId | None:
    if not job.tried:
        best = max(able, key=free.__getitem__)
        return best if free[best] else None
    untried = [runner_id for runner_id in able if runner_id not in job.tried]
    candidates = [runner_id for runner_id in untried or able if free[runner_id]]
    return max(candidates, key=lambda runner_id: free[runner_id], default=None)
