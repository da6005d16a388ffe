"""The open requests in memory: which of them may have finished, their deadlines, and the artifacts of their jobs.

Must not: write documents; `SchedulerState` does both together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from cloud_builder.model.ids import JobId, RequestId
from cloud_builder.planning.inputs.artifacts import RequestArtifacts
from cloud_builder.planning.records import JobRecord, RequestRecord


class RequestIndex:
    """The open requests by id. `jobs`: at least the jobs of all open requests, as they are now.

    by_id      the open requests
    deadlines  request → the time at which it is canceled if it has not finished
    """

    def __init__(self, jobs: Mapping[JobId, JobRecord]) -> None:
        self._by_id: dict[RequestId, RequestRecord] = {}
        self.by_id: Mapping[RequestId, RequestRecord] = self._by_id
        self.deadlines: dict[RequestId, float] = {}
        self._jobs = jobs
        self._open_jobs: dict[RequestId, set[JobId]] = defaultdict(set)
        """The jobs that each request still waits for: to finish, or to be published."""
        self._maybe_finished: set[RequestId] = set()
        self._artifacts: dict[RequestId, RequestArtifacts] = {}

    # --- changes --------------------------------------------------------------------------------------------------

    def restore(self, request: RequestRecord) -> None:
        """Adds a request that was read from the documents; it may have finished."""
        self.save(request)
        self._maybe_finished.add(request.request_id)

    def save(self, request: RequestRecord) -> None:
        self._by_id[request.request_id] = request
        if request.deadline is not None and not request.canceled:
            self.deadlines.setdefault(request.request_id, request.accepted_at + request.deadline)

    def remove(self, request_id: RequestId) -> None:
        del self._by_id[request_id]
        self._maybe_finished.discard(request_id)
        self._open_jobs.pop(request_id, None)
        self._artifacts.pop(request_id, None)

    def count(self, job: JobRecord) -> None:
        """Counts a new job, or one that has changed."""
        jobs = self._open_jobs[job.request_id]
        (jobs.discard if job.is_complete else jobs.add)(job.job_id)
        if job.is_finished:
            self._maybe_finished.add(job.request_id)
            if job.request_id in self._artifacts:
                self._artifacts[job.request_id].add(job)

    def replace_deadlines(self, deadlines: dict[RequestId, float]) -> None:
        self.deadlines = deadlines

    def pop_finished(self) -> list[RequestRecord]:
        """Returns the requests that wait for no job any more. Looks only at those with a job that has finished since
        the last call."""
        candidates, self._maybe_finished = self._maybe_finished, set()
        requests = [self._by_id[request_id] for request_id in candidates if request_id in self._by_id]
        return [request for request in requests if not self._open_jobs[request.request_id]]

    # --- lookups --------------------------------------------------------------------------------------------------

    def jobs_of(self, request: RequestRecord) -> list[JobRecord]:
        return [self._jobs[job_id] for job_id in request.jobs]

    def artifacts_of(self, request_id: RequestId) -> RequestArtifacts:
        """Returns the artifacts that the jobs of an open request have made so far."""
        if request_id not in self._artifacts:
            self._artifacts[request_id] = RequestArtifacts(self._jobs)
            for job in self.jobs_of(self._by_id[request_id]):
                self._artifacts[request_id].add(job)
        return self._artifacts[request_id]
