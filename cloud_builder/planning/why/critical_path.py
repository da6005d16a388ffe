"""Of several jobs that are waited for, the one that will end last; and down the chain of what that one waits for.

How long jobs take is taken from the last time. Where that is not known every job counts the same, so that the longest
chain is found all the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from cloud_builder.model.ids import JobId
from cloud_builder.model.outcome import JobState

from .facts import FactSource, JobFacts
from .queue_position import expected_seconds

MAX_VISITED = 20_000
_UNKNOWN = 60.0
"""Seconds that a job counts which was never built."""


def waited_for(job: JobFacts, known: FactSource) -> list[JobFacts]:
    """What blocks a job and has not ended."""
    if job.state is not JobState.BLOCKED:
        return []
    found = (known.job(other) for other in job.waiting_for)
    return [other for other in found if other is not None and not other.is_finished]


class CriticalPath:
    """Remembers what it worked out: a chain is shared by all that hang on it."""

    def __init__(self, known: FactSource, now: float) -> None:
        self._known, self._now = known, now
        self._left: dict[JobId, float] = {}

    def longest(self, jobs: Iterable[JobFacts]) -> JobFacts | None:
        """The one that ends last; of equals the first."""
        return max(jobs, key=self.left, default=None)

    def chain(self, job: JobFacts) -> list[JobFacts]:
        """From the job down to the one that waits for no other job."""
        found = [job]
        seen = {job.job_id}
        while (below := self.longest(waited_for(found[-1], self._known))) is not None and below.job_id not in seen:
            seen.add(below.job_id)
            found.append(below)
        return found

    def left(self, job: JobFacts) -> float:
        """Seconds until it ends, if slots were free at once."""
        stack = [job]
        while stack:
            top = stack[-1]
            if top.job_id in self._left and self._left[top.job_id] >= 0:
                stack.pop()
                continue
            below = waited_for(top, self._known) if len(self._left) < MAX_VISITED else []
            fresh = [one for one in below if one.job_id not in self._left]
            self._left.setdefault(top.job_id, -1.0)  # being worked out: whoever leads back here is passed over
            if fresh:
                stack += fresh
                continue
            longest = max((max(0.0, self._left[one.job_id]) for one in below), default=0.0)
            self._left[top.job_id] = self._own(top) + longest
            stack.pop()
        return self._left[job.job_id]

    def _own(self, job: JobFacts) -> float:
        seconds = expected_seconds(job, self._known)
        seconds = seconds if math.isfinite(seconds) else _UNKNOWN
        return max(0.0, seconds - (self._now - job.started_at)) if job.state is JobState.RUNNING else seconds
