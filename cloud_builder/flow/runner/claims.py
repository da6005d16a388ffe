"""The runner's side of shared-queue dispatch: takes offers for free slots, claims them, waits for the grants.

Input: offers (ports.queue). Output: `attempt.claimed`. A grant is an ordinary `job.assigned`, so the rest of the runner
does not know how its assignments were dispatched. An offer is acknowledged once its claim is committed: if the runner
is killed before, nothing is lost, because the queue delivers the offer to another runner. A claim without an answer
within a lease frees its slot. Must not build on a claim alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from cloud_builder.model.events import AttemptClaimed, ClaimRefused, JobOffered
from cloud_builder.model.ids import JobId, RunnerId
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.queue import OfferQueue, TakenOffer

_LOG = logging.getLogger("cb.runner")


class Claims:
    """The claims of a runner. `queue` None: directed dispatch only."""

    def __init__(self, queue: OfferQueue | None, runner_id: RunnerId, started_at: float) -> None:
        self._queue = queue
        self._runner_id = runner_id
        self._started_at = started_at
        self._pending: dict[tuple[JobId, int], float] = {}
        """Claimed attempt → when its slot is freed if no answer comes."""
        self._uncommitted: list[TakenOffer] = []
        """Claimed in the last transaction, to be acknowledged once it is committed."""
        self._rolled_back: list[TakenOffer] = []
        """Claimed in a transaction that was rolled back, to be claimed again."""
        self._pause_until = 0.0

    @property
    def queues(self) -> tuple[str, ...]:
        return self._queue.names if self._queue is not None else ()

    @property
    def is_busy(self) -> bool:
        """True if `tick` has work to do at once."""
        return bool(self._uncommitted or self._rolled_back) or (self._queue is not None and self._queue.has_offers)

    def rolled_back(self) -> None:
        """Claims the offers of the last transaction again in the next one."""
        self._rolled_back += self._uncommitted
        self._uncommitted = []

    def tick(self, work: UnitOfWork, free: int) -> None:
        """Acknowledges, takes and claims offers. Called in each transaction, after the one before was committed.

        `free`: slots without an assignment."""
        if self._queue is None:
            return
        if self._uncommitted:
            self._queue.acknowledge(self._uncommitted)
            self._uncommitted = []
        self._expire(work.now)
        max_offers = 0 if work.now < self._pause_until else max(0, free - len(self._pending))
        taken, self._rolled_back = [*self._rolled_back, *self._queue.take(max_offers)], []
        self._claim(taken, work)

    def on_answered(self, job_id: JobId, attempt: int) -> None:
        """Removes the claim, and earlier ones of the job: it was granted by an assignment, or revoked."""
        for claim in [claim for claim in self._pending if claim[0] == job_id and claim[1] <= attempt]:
            del self._pending[claim]

    def on_refused(self, event: ClaimRefused, now: float) -> None:
        _LOG.info("claim-refused", extra={"job": event.job_id, "attempt": event.attempt, "why": event.reason})
        self._pending.pop((event.job_id, event.attempt), None)
        if event.pause:
            self._pause_until = now + event.pause

    def close(self) -> None:
        """Acknowledges committed claims and leaves the queue. Call it after the last transaction was committed."""
        if self._queue is not None:
            self._queue.acknowledge(self._uncommitted)
            self._uncommitted = []
            self._queue.close()

    def _claim(self, taken: Sequence[TakenOffer], work: UnitOfWork) -> None:
        for offer in (delivery.offer for delivery in taken):
            self._pending[offer.job_id, offer.attempt] = work.now + offer.lease
            work.emit(self._claim_for(offer, work.now))
        self._uncommitted += taken

    def _claim_for(self, offer: JobOffered, now: float) -> AttemptClaimed:
        return AttemptClaimed(
            job_id=offer.job_id,
            attempt=offer.attempt,
            runner_id=self._runner_id,
            runner_started_at=self._started_at,
            at=now,
        )

    def _expire(self, now: float) -> None:
        for (job_id, attempt), until in list(self._pending.items()):
            if now > until:
                _LOG.warning("claim-unanswered", extra={"job": job_id, "attempt": attempt})
                del self._pending[job_id, attempt]
