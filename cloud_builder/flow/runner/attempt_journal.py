"""What a runner keeps in its documents: the orders that it holds, and for some days which attempts are done.

In come orders and reports, each with the transaction that it belongs to; out go the documents `held` and `done`. Which
attempts are held is known in memory as well, so that a job costs one look into the state and not three; `restore` reads
it anew after a rollback. Must never say that it holds what was not written down.
"""

from __future__ import annotations

from cloud_builder.model.events import AttemptFinished, JobAssigned
from cloud_builder.model.frozen import CachedJson
from cloud_builder.model.ids import JobId
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

RESULT_RETENTION = 7 * 86400.0
PRUNE_INTERVAL = 60.0
MAX_RESULTS = 1000
"""Documents forgotten in one transaction."""


class AttemptJournal:
    """Belongs to one flow."""

    def __init__(self) -> None:
        self._held: dict[JobId, int] = {}
        self._forgets_at = 0.0

    def restore(self, state: Documents) -> None:
        self._held = {JobId(job_id): body["attempt"] for job_id, body in state.find("held")}

    def record_assignment(self, order: JobAssigned, work: UnitOfWork) -> bool:
        """Writes the order down. False: this attempt, or a later one, is held or done."""
        if self._held.get(order.job_id, 0) >= order.attempt:
            return False
        done = work.documents.get("done", order.job_id)
        if done is not None and done["attempt"] >= order.attempt:
            return False
        self._held[order.job_id] = order.attempt
        work.documents.put("held", order.job_id, CachedJson(order), rank=work.now)
        return True

    def record_result(self, report: AttemptFinished, work: UnitOfWork) -> None:
        """A later attempt of the same job is held on."""
        if self._held.get(report.job_id, report.attempt + 1) <= report.attempt:
            del self._held[report.job_id]
            work.documents.delete("held", report.job_id)
        work.documents.put("done", report.job_id, {"attempt": report.attempt, "at": work.now}, rank=work.now)

    def prune(self, work: UnitOfWork) -> None:
        """Of what was done long ago: now and then, and more at once while there is much."""
        if work.now < self._forgets_at:
            return
        old = list(work.documents.find("done", before=work.now - RESULT_RETENTION, most=MAX_RESULTS))
        for job_id, _ in old:
            work.documents.delete("done", job_id)
        self._forgets_at = work.now if len(old) == MAX_RESULTS else work.now + PRUNE_INTERVAL


def unfinished_assignments(state: Documents) -> list[JobAssigned]:
    """The orders that an earlier life of this runner held."""
    return [JobAssigned.model_validate(body) for _, body in state.find("held")]
