"""The documents of jobs: what a job is, and where it stands.

The first is large and changes at most twice, the second is small and changes with each step. So a step costs a few
hundred bytes in the state file, in the outbox and on cb.state, and not the whole job again. Both lie under the job's id
and belong to its request; a job that has not come further since it was written down has no second one.
"""

from __future__ import annotations

from collections.abc import Iterator

from cloud_builder.model.frozen import Dumped
from cloud_builder.model.ids import JobId, RequestId
from cloud_builder.planning.records import JobRecord, Standing
from cloud_builder.ports.mesh import Work
from cloud_builder.ports.state import Document, Documents

JOBS, STANDINGS = "jobs", "standings"


class Ledger:
    """Writes jobs, and knows what is written of each that is open."""

    def __init__(self) -> None:
        self._moved: set[JobId] = set()
        """Those that have a standing."""
        self._fresh: set[JobId] = set()
        """Those of which all was written in this transaction: their next step in it is written with the rest."""

    def load(self, state: Documents, request_id: RequestId) -> Iterator[JobRecord]:
        """All jobs of a request, by number."""
        standings = dict(state.find(STANDINGS, parent=request_id))
        self._moved |= {JobId(job_id) for job_id in standings}
        for job_id, body in state.find(JOBS, parent=request_id):
            yield _record(body, standings.get(job_id))

    def write(self, work: Work, old: JobRecord | None, job: JobRecord) -> None:
        if old is not None and job.job_id not in self._fresh and _is_the_same(old, job):
            self._moved.add(job.job_id)
            work.state.put(STANDINGS, job.job_id, Dumped(job, Standing), parent=job.request_id, rank=job.number)
            return
        self._fresh.add(job.job_id)
        work.state.put(JOBS, job.job_id, Dumped(job), parent=job.request_id, rank=job.number)
        if job.job_id in self._moved:
            self._moved.discard(job.job_id)
            work.state.delete(STANDINGS, job.job_id)

    def turn_over(self) -> None:
        """The transaction is about to be committed."""
        self._fresh.clear()

    def close(self, job_id: JobId) -> None:
        """It stays in the documents, and is not written any more."""
        self._moved.discard(job_id)


def find(state: Documents, job_id: JobId) -> JobRecord | None:
    """A job of any request, open or over."""
    body = state.get(JOBS, job_id)
    return None if body is None else _record(body, state.get(STANDINGS, job_id))


def forget(work: Work, request_id: RequestId, most: int) -> int:
    """At most so many jobs of a request; how many there were."""
    jobs = [job_id for job_id, _ in work.state.find(JOBS, parent=request_id, most=most)]
    for job_id in jobs:
        work.state.delete(STANDINGS, job_id)
        work.state.delete(JOBS, job_id)
    return len(jobs)


def _is_the_same(old: JobRecord, job: JobRecord) -> bool:
    """But for its standing. All else that ever changes is what goes in, and how urgent it is."""
    return old.input_key is job.input_key and old.priority is job.priority


def _record(body: Document, standing: Document | None) -> JobRecord:
    if standing is None:
        return JobRecord.model_validate(body)
    fixed = {name: value for name, value in body.items() if name not in Standing.model_fields}
    return JobRecord.model_validate({**fixed, **standing})
