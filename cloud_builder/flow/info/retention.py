"""Deletes old documents of cb-info.

Requests that finished before the retention are deleted, with their jobs and attempts. Live logs are deleted a day after
their job finished without a whole log (it was canceled, or its runner was lost). Each call deletes only a few, so that
no query waits for it. The history of units stays: history.py bounds itself.
"""

from __future__ import annotations

from cloud_builder.model.outcome import JobState
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

from . import change_index, livelog

DAY = 86400.0
LIVE_LOG_RETENTION = DAY
MAX_REQUESTS, MAX_JOBS, MAX_LOGS = 20, 50, 200
"""In one call."""
BUSY_INTERVAL, IDLE_INTERVAL = 1.0, 60.0
"""Seconds between two calls, while there is more to delete and when there is not."""
_BY_JOB = ("job", "job-state", "job-name", "log")


class Retention:
    """Deletes old requests and live logs. `days`: as in `settings.InfoSettings`."""

    def __init__(self, days: float) -> None:
        self._seconds = days * DAY
        self._not_before = 0.0
        self._after: float | None = None
        """Requests accepted up to this time were checked in this round. The next round checks all again."""

    def prune(self, work: UnitOfWork) -> None:
        if self._not_before - IDLE_INTERVAL <= work.now < self._not_before:
            return
        is_done = self._delete_requests(work.documents, work.now - self._seconds)
        _delete_live_logs(work.documents, work.now - LIVE_LOG_RETENTION)
        self._not_before = work.now + (IDLE_INTERVAL if is_done else BUSY_INTERVAL)

    def _delete_requests(self, state: Documents, before: float) -> bool:
        """Deletes requests; returns True when all were checked."""
        jobs_left = MAX_JOBS
        found = list(state.find("request", after=self._after, before=before, most=MAX_REQUESTS))
        for key, body in found:
            if body.get("finished_at") and body["finished_at"] < before:
                jobs_left -= _delete_jobs(key, state, jobs_left)
                if jobs_left <= 0:
                    return False
                state.delete("request", key)
            self._after = body.get("accepted_at") or body.get("finished_at") or 0.0
        if len(found) < MAX_REQUESTS:
            self._after = None
        return self._after is None


def _delete_jobs(request: str, state: Documents, most: int) -> int:
    """Deletes at most so many jobs of a request; returns their number."""
    jobs = list(state.find("job", parent=request, most=most))
    for job, body in jobs:
        change_index.remove(body, state)
        livelog.drop(job, state)
        for attempt in [key for key, _ in state.find("attempt", parent=job)]:
            state.delete("attempt", attempt)
        for collection in _BY_JOB:
            state.delete(collection, job)
    return len(jobs)


def _delete_live_logs(state: Documents, before: float) -> None:
    for job, _ in list(state.find("log", parent=livelog.LIVE, most=MAX_LOGS)):
        body = state.get("job", job) or {}
        if body.get("state") == JobState.FINISHED and body.get("finished_at", before) < before:
            livelog.drop(job, state)
