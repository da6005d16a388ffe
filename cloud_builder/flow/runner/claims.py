"""The runner's side of shared-queue dispatch: takes offers for its free slots, claims them, waits for the grants.

In come offers (ports.queue); out go `attempt.claimed`. A grant is an ordinary `job.assigned`, so nothing else of the
runner knows where its orders come from. An offer is acknowledged once the claim is committed: a runner that dies before
that has lost nothing, because the queue gives the offer to another. A claim that nobody answers within a lease gives
its slot back. Must never build on a claim alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from cloud_builder.model.events import AttemptClaimed, ClaimRefused, JobOffered
from cloud_builder.model.ids import JobId, RunnerId
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.queue import OfferQueue, TakenOffer

log = logging.getLogger("cb.runner")


class Claims:
    """What a runner has taken from the queue. `queue` None: directed dispatch only."""

    def __init__(self, queue: OfferQueue | None, runner_id: RunnerId, started_at: float) -> None:
        self._queue = queue
        self._runner_id = runner_id
        self._started_at = started_at
        self._pending: dict[tuple[JobId, int], float] = {}
        """Claimed attempts, and until when their slot is kept."""
        self._reported: list[TakenOffer] = []
        """Claimed in the last transaction: to be acknowledged when it is known to be committed."""
        self._resend_at: list[TakenOffer] = []
        """That transaction was rolled back."""
        self._pause_until = 0.0

    @property
    def queues(self) -> tuple[str, ...]:
        return self._queue.names if self._queue is not None else ()

    @property
    def is_busy(self) -> bool:
        """There is something to be done at once."""
        return bool(self._reported or self._resend_at) or (self._queue is not None and self._queue.has_offers)

    def rolled_back(self) -> None:
        """What the last transaction said was not said."""
        self._resend_at += self._reported
        self._reported = []

    def tick(self, work: UnitOfWork, free: int) -> None:
        """`free`: slots without an order. Called in each transaction, when the one before was committed."""
        if self._queue is None:
            return
        if self._reported:
            self._queue.acknowledge(self._reported)
            self._reported = []
        self._give_up(work.now)
        most = 0 if work.now < self._pause_until else max(0, free - len(self._pending))
        taken, self._resend_at = [*self._resend_at, *self._queue.take(most)], []
        self._claim(taken, work)

    def granted(self, job_id: JobId, attempt: int) -> None:
        """An order, or its revocation, has come: the claim is settled."""
        for claimed in [claimed for claimed in self._pending if claimed[0] == job_id and claimed[1] <= attempt]:
            del self._pending[claimed]

    def refused(self, event: ClaimRefused, now: float) -> None:
        log.info("claim-refused", extra={"job": event.job_id, "attempt": event.attempt, "why": event.reason})
        self._pending.pop((event.job_id, event.attempt), None)
        if event.pause:
            self._pause_until = now + event.pause

    def close(self) -> None:
        """The runner ends. Call it when the last transaction was committed."""
        if self._queue is not None:
            self._queue.acknowledge(self._reported)
            self._reported = []
            self._queue.close()

    def _claim(self, taken: Sequence[TakenOffer], work: UnitOfWork) -> None:
        for one in taken:
            offer = one.offer
            self._pending[offer.job_id, offer.attempt] = work.now + offer.lease
            work.emit(self._claim_of(offer, work.now))
        self._reported += taken

    def _claim_of(self, offer: JobOffered, now: float) -> AttemptClaimed:
        return AttemptClaimed(
            job_id=offer.job_id,
            attempt=offer.attempt,
            runner_id=self._runner_id,
            runner_started_at=self._started_at,
            at=now,
        )

    def _give_up(self, now: float) -> None:
        for claimed, until in list(self._pending.items()):
            if now > until:
                log.warning("claim-unanswered", extra={"job": claimed[0], "attempt": claimed[1]})
                del self._pending[claimed]
