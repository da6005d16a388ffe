"""The documents of jobs: what a job is, and where it stands.

    expansions/<request>#<n>   what a request became, some dozens of jobs in each
    jobs/<job>                 one of them again, as a whole: its inputs were known later, or it became more urgent
    loose-standings/<job>      how far it has come since

A document counts for more than those above it. So what a request becomes is a few documents, and a step of a job costs
a few hundred bytes in the state file, in the outbox and on cb.state, and not the whole job again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cloud_builder.model.frozen import CachedJson, CachedJsonList
from cloud_builder.model.ids import JobId, RequestId
from cloud_builder.planning.records import JobRecord, JobStatus
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import UNINDEXED, Document, Documents

EXPANSIONS, JOBS, STATUS_DOCUMENTS = "expansions", "jobs", f"{UNINDEXED}standings"
JOBS_PER_DOCUMENT, MAX_PACKED_FILES = 50, 20
"""Jobs in one document, and artifacts of a job that is written there: each may be kilobytes (a package tells what it
provides), and a message has 8 MiB."""


class JobStore:
    """Writes jobs, and knows what is written of each that is open."""

    def __init__(self) -> None:
        self._moved: set[JobId] = set()
        """Those that have a standing."""
        self._fresh: dict[JobId, list[JobRecord]] = {}
        """Those that the transaction under way has made, with all that are in the same document."""
        self._work: UnitOfWork | None = None
        """The transaction of the fresh ones."""

    def load(self, state: Documents, request_id: RequestId) -> list[JobRecord]:
        """All jobs of a request, by number."""
        bodies = dict(_bodies(state, request_id))
        found = {job_id: state.get(STATUS_DOCUMENTS, job_id) for job_id in bodies}
        self._moved.update(job_id for job_id, standing in found.items() if standing is not None)
        records = [_record(body, found[job_id]) for job_id, body in bodies.items()]
        return sorted(records, key=lambda job: job.number)

    def create(self, work: UnitOfWork, jobs: Sequence[JobRecord]) -> None:
        """New jobs of one request, by number."""
        if work is not self._work:
            self._work, self._fresh = work, {}
        for start in range(0, len(jobs), JOBS_PER_DOCUMENT):
            together = list(jobs[start : start + JOBS_PER_DOCUMENT])
            self._fresh.update((job.job_id, together) for job in together)
            _put(work, together)

    def update(self, work: UnitOfWork, old: JobRecord, job: JobRecord) -> None:
        """A step of a job that was begun."""
        if work is not self._work:
            self._work, self._fresh = None, {}
        if len(job.dependencies) + len(job.artifacts) > MAX_PACKED_FILES:
            self._fresh.pop(job.job_id, None)
        if (together := self._fresh.get(job.job_id)) is not None:
            together[(job.number - 1) % JOBS_PER_DOCUMENT] = job
            _put(work, together)
            return
        is_the_same = _is_the_same(old, job)
        if not is_the_same:
            work.documents.put(JOBS, job.job_id, CachedJson(job), parent=job.request_id, rank=job.number)
        if is_the_same or job.job_id in self._moved:
            self._moved.add(job.job_id)
            work.documents.put(STATUS_DOCUMENTS, job.job_id, CachedJson(job, JobStatus))

    def evict(self, job_ids: Iterable[JobId]) -> None:
        """They stay in the documents, and are not written any more."""
        self._moved.difference_update(job_ids)


def load_job(state: Documents, job_id: JobId) -> JobRecord | None:
    """A job of any request, open or over."""
    body = state.get(JOBS, job_id)
    if body is None:
        request_id, _, number = job_id.rpartition(".")
        found = state.get(EXPANSIONS, _key(RequestId(request_id), int(number))) if number.isdecimal() else None
        body = next((one for one in (found or {"jobs": ()})["jobs"] if one["job_id"] == job_id), None)
    return None if body is None else _record(body, state.get(STATUS_DOCUMENTS, job_id))


def prune(work: UnitOfWork, request_id: RequestId, most: int) -> int:
    """Some jobs of a request, about so many; how many. Fewer than `most`: none is left."""
    gone = 0
    for collection in (JOBS, EXPANSIONS):
        for key, body in list(work.documents.find(collection, parent=request_id, most=most)):
            if gone >= most:
                return gone
            jobs = body["jobs"] if collection == EXPANSIONS else [body]
            for job in jobs:
                work.documents.delete(STATUS_DOCUMENTS, job["job_id"])
            work.documents.delete(collection, key)
            gone += len(jobs)
    return gone


def _bodies(state: Documents, request_id: RequestId) -> Iterator[tuple[JobId, Document]]:
    """What is written of each job before its standing; the last one of a job counts."""
    for _, body in state.find(EXPANSIONS, parent=request_id):
        yield from ((one["job_id"], one) for one in body["jobs"])
    for job_id, body in state.find(JOBS, parent=request_id):
        yield JobId(job_id), body


def _put(work: UnitOfWork, together: list[JobRecord]) -> None:
    first = together[0]
    body = CachedJsonList("jobs", together)
    work.documents.put(
        EXPANSIONS, _key(first.request_id, first.number), body, parent=first.request_id, rank=first.number
    )


def _key(request_id: RequestId, number: int) -> str:
    """Of the document that a job was begun in."""
    return f"{request_id}#{(number - 1) // JOBS_PER_DOCUMENT}"


def _is_the_same(old: JobRecord, job: JobRecord) -> bool:
    """But for its standing. All else that ever changes is what goes in, and how urgent it is."""
    return old.input_key is job.input_key and old.priority is job.priority


def _record(body: Document, standing: Document | None) -> JobRecord:
    if standing is None:
        return JobRecord.model_validate(body)
    fixed = {name: value for name, value in body.items() if name not in JobStatus.model_fields}
    return JobRecord.model_validate({**fixed, **standing})
