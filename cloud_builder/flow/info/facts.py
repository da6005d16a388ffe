"""Gives `planning/why` its facts from the documents of cb-info.

An instance serves one query, and caches what it has read: a chain of jobs leads to the same jobs many times.
"""

from __future__ import annotations

from collections.abc import Sequence

from cloud_builder.model.ids import JobId, RequestId, SourceName, TreeId, UnitPath
from cloud_builder.model.inputs import UsedArtifact
from cloud_builder.model.outcome import JobState
from cloud_builder.planning.schedule.queue import QueuePolicy
from cloud_builder.planning.why import AttemptFacts, JobFacts, PastBuild, PushedChanges, RequestFacts, RunnerFacts
from cloud_builder.ports.state import Document, Documents

from . import history, views
from .documents import PAST_BUILD, PAST_FAILURE

MAX_QUEUED = 5000
"""Queued jobs that are considered, the longest waiting first."""


class DocumentFacts:
    """Implements `planning.why.FactSource`. `queue_policy`: by which the scheduler orders queued jobs."""

    def __init__(self, state: Documents, now: float, queue_policy: QueuePolicy) -> None:
        self._state, self._now, self._queue_policy = state, now, queue_policy
        self._jobs: dict[JobId, JobFacts | None] = {}
        self._requests: dict[RequestId, RequestFacts | None] = {}
        self._good: dict[JobId, PastBuild | None] = {}
        self._runners: list[RunnerFacts] | None = None
        self._queued: list[JobFacts] | None = None

    def job(self, job_id: JobId) -> JobFacts | None:
        if job_id not in self._jobs:
            body = self._state.get("job", job_id)
            self._jobs[job_id] = job_of(body) if body else None
        return self._jobs[job_id]

    def jobs_of(self, request_id: RequestId) -> Sequence[JobFacts]:
        found = [job_of(body) for _, body in self._state.find("job", parent=request_id)]
        self._jobs.update((job.job_id, job) for job in found)
        return sorted(found, key=lambda job: (len(job.job_id), job.job_id))

    def request(self, request_id: RequestId) -> RequestFacts | None:
        if request_id not in self._requests:
            body = self._state.get("request", request_id)
            self._requests[request_id] = request_of(body) if body else None
        return self._requests[request_id]

    def attempts(self, job_id: JobId) -> Sequence[AttemptFacts]:
        return [AttemptFacts.model_validate(body) for _, body in self._state.find("attempt", parent=job_id)]

    def runners(self) -> Sequence[RunnerFacts]:
        if self._runners is None:
            self._runners = [RunnerFacts.model_validate(row) for _, row in views.runners(self._state, self._now)]
        return self._runners

    def queue_policy(self) -> QueuePolicy:
        return self._queue_policy

    def queued(self) -> Sequence[JobFacts]:
        if self._queued is None:
            keys = [key for key, _ in self._state.find("job-state", parent=JobState.QUEUED, most=MAX_QUEUED)]
            self._queued = [job for key in keys if (job := self.job(JobId(key))) is not None]
        return self._queued

    def last_success(self, job: JobFacts) -> PastBuild | None:
        if job.job_id not in self._good:
            self._good[job.job_id] = history.last(PAST_BUILD, job, self._state)
        return self._good[job.job_id]

    def last_failure(self, job: JobFacts) -> PastBuild | None:
        return history.last(PAST_FAILURE, job, self._state)

    def build_of(self, used: UsedArtifact, target: str) -> PastBuild | None:
        return history.build_of(used, target, self._state)

    def pushed_changes(self, source: SourceName, unit: UnitPath, before: TreeId, after: TreeId) -> PushedChanges | None:
        return history.pushed_changes(source, unit, before, after, self._state)


def job_of(body: Document) -> JobFacts:
    return JobFacts.model_validate({**body, "has_log": bool(body.get("log"))})


def request_of(body: Document) -> RequestFacts:
    return RequestFacts.model_validate({**body, "saved": (body.get("summary") or {}).get("saved", 0.0)})
