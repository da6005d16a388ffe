"""The documents of jobs: the job spec, written once, and the job status, written with each change.

    expansions/<request>#<n>    the jobs that a request became, JOBS_PER_DOCUMENT in each document
    jobs/<job>                  a whole job, written again: its inputs became known, or it became more urgent
    unindexed-job-status/<job>  the job's newest status

A document takes precedence over those above it. So a new request costs a few documents, and a change of a job costs a
few hundred bytes in the state file, in the outbox and on `cb.state`, instead of the whole job.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cloud_builder.model.frozen import CachedJson, CachedJsonList
from cloud_builder.model.ids import JobId, RequestId, job_number, request_of
from cloud_builder.planning.records import JobRecord, JobStatus
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import UNINDEXED, Document, Documents

EXPANSIONS, JOBS, STATUS_DOCUMENTS = "expansions", "jobs", f"{UNINDEXED}job-status"
JOBS_PER_DOCUMENT = 50
"""Jobs in one document of `expansions`."""
MAX_PACKED_FILES = 20
"""Artifacts and dependencies of a job that is written into a document of `expansions`: each may take kilobytes (a
package lists what it provides), and a message is limited to 8 MiB."""


class JobStore:
    """Writes jobs, and remembers which open jobs have a status document."""

    def __init__(self) -> None:
        self._with_status: set[JobId] = set()
        """Jobs that have a status document."""
        self._created: dict[JobId, list[JobRecord]] = {}
        """Jobs created by the current transaction, each with all jobs of its document."""
        self._work: UnitOfWork | None = None
        """The transaction of `_created`."""

    def load(self, documents: Documents, request_id: RequestId) -> list[JobRecord]:
        """Returns all jobs of a request, in the order of their numbers."""
        bodies = dict(_find_specs(documents, request_id))
        statuses = {job_id: documents.get(STATUS_DOCUMENTS, job_id) for job_id in bodies}
        self._with_status.update(job_id for job_id, status in statuses.items() if status is not None)
        records = [_record_of(body, statuses[job_id]) for job_id, body in bodies.items()]
        return sorted(records, key=lambda job: job.number)

    def create(self, work: UnitOfWork, jobs: Sequence[JobRecord]) -> None:
        """Writes the new jobs of one request, in the order of their numbers."""
        if work is not self._work:
            self._work, self._created = work, {}
        for start in range(0, len(jobs), JOBS_PER_DOCUMENT):
            packed = list(jobs[start : start + JOBS_PER_DOCUMENT])
            self._created.update((job.job_id, packed) for job in packed)
            _put_packed(work, packed)

    def update(self, work: UnitOfWork, before: JobRecord, job: JobRecord) -> None:
        """Writes a change of a job: into its first document while the transaction that created it is open, later as a
        status."""
        if work is not self._work:
            self._work, self._created = None, {}
        if len(job.dependencies) + len(job.artifacts) > MAX_PACKED_FILES:
            self._created.pop(job.job_id, None)
        if (packed := self._created.get(job.job_id)) is not None:
            packed[(job.number - 1) % JOBS_PER_DOCUMENT] = job
            _put_packed(work, packed)
            return
        has_same_spec = _has_same_spec(before, job)
        if not has_same_spec:
            work.documents.put(JOBS, job.job_id, CachedJson(job), parent=job.request_id, rank=job.number)
        if has_same_spec or job.job_id in self._with_status:
            self._with_status.add(job.job_id)
            work.documents.put(STATUS_DOCUMENTS, job.job_id, CachedJson(job, JobStatus))

    def evict(self, job_ids: Iterable[JobId]) -> None:
        """Removes finished jobs from memory. Their documents stay, and are not written any more."""
        self._with_status.difference_update(job_ids)


def load_job(documents: Documents, job_id: JobId) -> JobRecord | None:
    """Returns a job of any request, open or finished."""
    body = documents.get(JOBS, job_id)
    if body is None:
        number = job_number(job_id)
        packed = documents.get(EXPANSIONS, _key(request_of(job_id), number)) if number else None
        body = next((spec for spec in (packed or {"jobs": ()})["jobs"] if spec["job_id"] == job_id), None)
    return None if body is None else _record_of(body, documents.get(STATUS_DOCUMENTS, job_id))


def prune(work: UnitOfWork, request_id: RequestId, most: int) -> int:
    """Deletes about `most` jobs of a request and returns their number. Fewer than `most`: no job is left."""
    deleted = 0
    for collection in (JOBS, EXPANSIONS):
        for key, body in list(work.documents.find(collection, parent=request_id, most=most)):
            if deleted >= most:
                return deleted
            specs = body["jobs"] if collection == EXPANSIONS else [body]
            for spec in specs:
                work.documents.delete(STATUS_DOCUMENTS, spec["job_id"])
            work.documents.delete(collection, key)
            deleted += len(specs)
    return deleted


def _find_specs(documents: Documents, request_id: RequestId) -> Iterator[tuple[JobId, Document]]:
    """Yields what is stored of each job, except for its status; the last document of a job takes precedence."""
    for _, body in documents.find(EXPANSIONS, parent=request_id):
        yield from ((spec["job_id"], spec) for spec in body["jobs"])
    for job_id, body in documents.find(JOBS, parent=request_id):
        yield JobId(job_id), body


def _put_packed(work: UnitOfWork, jobs: list[JobRecord]) -> None:
    first = jobs[0]
    key = _key(first.request_id, first.number)
    work.documents.put(EXPANSIONS, key, CachedJsonList("jobs", jobs), parent=first.request_id, rank=first.number)


def _key(request_id: RequestId, number: int) -> str:
    """Returns the key of the document in `expansions` that has the job with this number."""
    return f"{request_id}#{(number - 1) // JOBS_PER_DOCUMENT}"


def _has_same_spec(before: JobRecord, job: JobRecord) -> bool:
    """True if only the status differs. The inputs and the priority are the only fields of a spec that ever change."""
    return before.input_key is job.input_key and before.priority is job.priority


def _record_of(body: Document, status: Document | None) -> JobRecord:
    if status is None:
        return JobRecord.model_validate(body)
    spec = {name: value for name, value in body.items() if name not in JobStatus.model_fields}
    return JobRecord.model_validate({**spec, **status})
