"""The scheduler's state: open requests and jobs, live runners and published packages in memory, the rest in documents.

Each `save_*` changes memory and the document together, inside the transaction that the mesh loop opened; the mesh
sends every written document to `cb.state`. After a rollback the state is discarded and restored from the documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cloud_builder.model.frozen import CachedJson
from cloud_builder.planning.records import JobRecord, RequestRecord, RunnerRecord
from cloud_builder.planning.schedule.queue import QueuePolicy
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

from . import usage_store
from .deferred import DeferredRequests
from .job_index import JobIndex
from .job_store import JobStore
from .published import PublishedPackages
from .request_index import RequestIndex
from .runner_table import RunnerTable
from .sources import SourceCatalog

REQUESTS, CANCELED, COUNTERS = "requests", "canceled-requests", "counters"
"""Collections: requests with parent `open` or `done`; cancels of requests that were not accepted yet; numbers."""


class SchedulerState:
    """Everything that the scheduler has in memory. Finished requests and their jobs are only in the documents.

    `runners`: the live runners, as they were before a rollback.

    jobs       the open jobs and the indexes over them
    requests   the open requests
    runners    the live runners and their jobs
    published  the newest published packages
    catalog    the units of all followed sources
    deferred   requests that wait for a source snapshot
    """

    def __init__(
        self, documents: Documents, policy: QueuePolicy | None = None, runners: Iterable[RunnerRecord] = ()
    ) -> None:
        self.jobs = JobIndex(policy or QueuePolicy())
        self.requests = RequestIndex(self.jobs.by_id)
        self.runners = RunnerTable(documents, runners)
        self.published = PublishedPackages()
        self.catalog = SourceCatalog()
        self.deferred = DeferredRequests(documents)
        self._store = JobStore()
        usage_store.restore(documents, self.jobs.queue)
        for _, body in documents.find(REQUESTS, parent="open"):
            request = RequestRecord.model_validate(body)
            self.requests.restore(request)
            self._add(self._store.load(documents, request.request_id))

    def save_request(self, work: UnitOfWork, request: RequestRecord) -> None:
        self.requests.save(request)
        work.documents.put(REQUESTS, request.request_id, CachedJson(request), parent="open", rank=request.sequence)

    def close_request(self, work: UnitOfWork, request: RequestRecord) -> None:
        """Marks a request as finished. Its jobs leave memory and stay in the documents."""
        finished = request.model_copy(update={"finished_at": work.now})
        work.documents.put(REQUESTS, request.request_id, CachedJson(finished), parent="done", rank=work.now)
        self.requests.remove(request.request_id)
        self.jobs.remove(request.jobs)
        self._store.evict(request.jobs)

    def create_jobs(self, work: UnitOfWork, jobs: Sequence[JobRecord]) -> None:
        """Stores all jobs of a new request, in the order of their numbers."""
        self._store.create(work, jobs)
        self._add(jobs)

    def save_job(self, work: UnitOfWork, job: JobRecord) -> None:
        """Stores a change of an open job."""
        before = self.jobs.by_id[job.job_id]
        self.jobs.replace(before, job, work.now)
        self.runners.replace_job(before, job)
        self.requests.count(job)
        self._store.update(work, before, job)

    def mark_started(self, job: JobRecord) -> None:
        """Marks the job as running in memory only. The start is not persisted: after a restart the job is restored as
        `assigned`, which is handled the same way, and each job saves one write."""
        self.jobs.mark_started(job)

    def next_sequence(self, work: UnitOfWork) -> int:
        """Returns the number of the next accepted request."""
        number = int((work.documents.get(COUNTERS, "request") or {"last": 0})["last"]) + 1
        work.documents.put(COUNTERS, "request", {"last": number})
        return number

    def _add(self, jobs: Iterable[JobRecord]) -> None:
        for job in jobs:
            self.jobs.add(job)
            self.runners.add_job(job)
            self.requests.count(job)
