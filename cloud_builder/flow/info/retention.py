"""What cb-info forgets: requests that ended long ago, with all that is shown of their jobs; and the live logs of jobs
that ended a day ago and left no whole log (they were canceled, or their runner died).

Little by little, so that no question waits for it. What units were before stays (history.py bounds itself).
"""

from __future__ import annotations

from cloud_builder.model.outcome import JobState
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

from . import change_index, livelog

DAY = 86400.0
LIVE_LOG_KEPT = DAY
MOST_REQUESTS, MOST_JOBS, MOST_LOGS = 20, 50, 200
SOON, LATER = 1.0, 60.0
_BY_JOB = ("job", "job-state", "job-name", "log")


class Retention:
    """`keep`: days (settings.InfoSettings)."""

    def __init__(self, keep: float) -> None:
        self._keep = keep * DAY
        self._not_before = 0.0
        self._after: float | None = None
        """Looked at so far: requests that have no end are passed over, and come again with the next round."""

    def forget(self, work: UnitOfWork) -> None:
        if self._not_before - LATER <= work.now < self._not_before:
            return
        is_done = self._requests(work.documents, work.now - self._keep)
        _live_logs(work.documents, work.now - LIVE_LOG_KEPT)
        self._not_before = work.now + (LATER if is_done else SOON)

    def _requests(self, state: Documents, before: float) -> bool:
        """True when all were looked at."""
        jobs_left = MOST_JOBS
        found = list(state.find("request", after=self._after, before=before, most=MOST_REQUESTS))
        for key, body in found:
            if body.get("finished_at") and body["finished_at"] < before:
                jobs_left -= _forget_jobs(key, state, jobs_left)
                if jobs_left <= 0:
                    return False
                state.delete("request", key)
            self._after = body.get("accepted_at") or body.get("finished_at") or 0.0
        if len(found) < MOST_REQUESTS:
            self._after = None
        return self._after is None


def _forget_jobs(request: str, state: Documents, most: int) -> int:
    jobs = list(state.find("job", parent=request, most=most))
    for job, body in jobs:
        change_index.forget(body, state)
        livelog.drop(job, state)
        for attempt in [key for key, _ in state.find("attempt", parent=job)]:
            state.delete("attempt", attempt)
        for collection in _BY_JOB:
            state.delete(collection, job)
    return len(jobs)


def _live_logs(state: Documents, before: float) -> None:
    for job, _ in list(state.find("log", parent=livelog.LIVE, most=MOST_LOGS)):
        body = state.get("job", job) or {}
        if body.get("state") == JobState.FINISHED and body.get("finished_at", before) < before:
            livelog.drop(job, state)
