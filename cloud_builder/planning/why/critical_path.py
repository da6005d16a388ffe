"""The job that ends last among several, and the chain of jobs that it waits for.

The durations are those of the last builds. A job that was never built counts `_DEFAULT_SECONDS`, so that the longest
chain is found nevertheless.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from cloud_builder.model.ids import JobId
from cloud_builder.model.outcome import JobState

from .facts import FactSource, JobFacts
from .queue_position import expected_seconds

MAX_VISITED = 20_000
"""Jobs that are looked up; chains below that are not followed, so that an answer takes no longer."""
_DEFAULT_SECONDS = 60.0


def waited_for(job: JobFacts, facts: FactSource) -> list[JobFacts]:
    """Returns the unfinished jobs that block a job."""
    if job.state is not JobState.BLOCKED:
        return []
    blockers = (facts.job(job_id) for job_id in job.waiting_for)
    return [blocker for blocker in blockers if blocker is not None and not blocker.is_finished]


class CriticalPath:
    """Remaining durations of jobs. Each is computed once: many jobs share the same chain."""

    def __init__(self, facts: FactSource, now: float) -> None:
        self._facts, self._now = facts, now
        self._remaining: dict[JobId, float] = {}
        """Seconds; negative while the job is being computed."""

    def longest(self, jobs: Iterable[JobFacts]) -> JobFacts | None:
        """Returns the job that ends last; among equals the first."""
        return max(jobs, key=self.remaining, default=None)

    def chain(self, job: JobFacts) -> list[JobFacts]:
        """Returns the job, the job that it waits for longest, and so on down to one that waits for no job."""
        chain = [job]
        seen = {job.job_id}
        while (below := self.longest(waited_for(chain[-1], self._facts))) is not None and below.job_id not in seen:
            seen.add(below.job_id)
            chain.append(below)
        return chain

    def remaining(self, job: JobFacts) -> float:
        """Returns the seconds until the job ends, if every job got a slot at once."""
        stack = [job]
        while stack:
            top = stack[-1]
            if top.job_id in self._remaining and self._remaining[top.job_id] >= 0:
                stack.pop()
                continue
            blockers = waited_for(top, self._facts) if len(self._remaining) < MAX_VISITED else []
            new = [blocker for blocker in blockers if blocker.job_id not in self._remaining]
            self._remaining.setdefault(top.job_id, -1.0)  # a blocker that leads back to this job does not count
            if new:
                stack += new
                continue
            longest = max((max(0.0, self._remaining[blocker.job_id]) for blocker in blockers), default=0.0)
            self._remaining[top.job_id] = self._own_seconds(top) + longest
            stack.pop()
        return self._remaining[job.job_id]

    def _own_seconds(self, job: JobFacts) -> float:
        seconds = expected_seconds(job, self._facts)
        seconds = seconds if math.isfinite(seconds) else _DEFAULT_SECONDS
        return max(0.0, seconds - (self._now - job.started_at)) if job.state is JobState.RUNNING else seconds
