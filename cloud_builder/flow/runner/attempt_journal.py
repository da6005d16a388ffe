"""The journal of a runner: its unfinished assignments, and for some days the attempts that it has finished.

Input: assignments and reports, each with its transaction. Output: two document collections of the runner's state.
The attempts of unfinished assignments are cached in memory, so that a job costs one read of the state instead of three;
`restore` reads them again after a rollback. Must not count an assignment as recorded before it is in the state.
"""

from __future__ import annotations

from cloud_builder.model.events import AttemptFinished, JobAssigned
from cloud_builder.model.frozen import CachedJson
from cloud_builder.model.ids import JobId
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

ASSIGNMENTS, RESULTS = "assignment", "result"
"""Collections by job: its unfinished assignment; the number of its last finished attempt, and when it was finished."""
RESULT_RETENTION = 7 * 86400.0
"""Seconds. An assignment that is read again later than this would be built again."""
PRUNE_INTERVAL = 60.0
MAX_RESULTS = 1000
"""Results that one transaction deletes at most."""


class AttemptJournal:
    """Belongs to one flow."""

    def __init__(self) -> None:
        self._unfinished: dict[JobId, int] = {}
        """Job → attempt."""
        self._prune_at = 0.0

    def restore(self, state: Documents) -> None:
        """Reads the unfinished assignments, at start and after a rollback."""
        self._unfinished = {JobId(job_id): body["attempt"] for job_id, body in state.find(ASSIGNMENTS)}

    def record_assignment(self, assignment: JobAssigned, work: UnitOfWork) -> bool:
        """Stores the assignment. Returns False if this attempt, or a later one, is unfinished or finished."""
        job_id, attempt = assignment.job_id, assignment.attempt
        if self._unfinished.get(job_id, 0) >= attempt:
            return False
        result = work.documents.get(RESULTS, job_id)
        if result is not None and result["attempt"] >= attempt:
            return False
        self._unfinished[job_id] = attempt
        work.documents.put(ASSIGNMENTS, job_id, CachedJson(assignment), rank=work.now)
        return True

    def record_result(self, report: AttemptFinished, work: UnitOfWork) -> None:
        """Stores that the attempt is finished. A later attempt of the same job stays unfinished."""
        if self._unfinished.get(report.job_id, report.attempt + 1) <= report.attempt:
            del self._unfinished[report.job_id]
            work.documents.delete(ASSIGNMENTS, report.job_id)
        work.documents.put(RESULTS, report.job_id, {"attempt": report.attempt, "at": work.now}, rank=work.now)

    def prune(self, work: UnitOfWork) -> None:
        """Deletes results older than `RESULT_RETENTION`, once per `PRUNE_INTERVAL`.

        When one transaction was not enough for all of them, the next call continues at once."""
        if work.now < self._prune_at:
            return
        old = list(work.documents.find(RESULTS, before=work.now - RESULT_RETENTION, most=MAX_RESULTS))
        for job_id, _ in old:
            work.documents.delete(RESULTS, job_id)
        self._prune_at = work.now if len(old) == MAX_RESULTS else work.now + PRUNE_INTERVAL


def unfinished_assignments(state: Documents) -> list[JobAssigned]:
    """Returns the unfinished assignments. At start they are those of an earlier incarnation of this runner."""
    return [JobAssigned.model_validate(body) for _, body in state.find(ASSIGNMENTS)]
