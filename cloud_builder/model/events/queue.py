"""Shared-queue dispatch: offers to a pool of runners (cb.queue.*), claims and refusals.

job.offered ──► attempt.claimed ──► job.assigned (the grant), or claim.refused
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from cloud_builder.model.ids import JobId, RunnerId

from .payload import Payload


class JobOffered(Payload):
    """Offers an attempt to the runners of a pool.

    A runner with a free slot takes the offer from the queue, claims it, acknowledges it, and waits for the grant, an
    ordinary `job.assigned`. The same attempt may be offered more than once; its first claim counts."""

    type: ClassVar[str] = "job.offered"

    job_id: JobId
    attempt: int = Field(ge=1)
    """The number that the attempt will have."""
    queue: str
    """The name of the queue, without `cb.queue.`."""
    lease: float = 12.0
    """Seconds for which a runner keeps a slot for an attempt that it has claimed; then it takes another offer."""


class AttemptClaimed(Payload):
    """A runner with a free slot claims an offer. It builds nothing before the grant."""

    type: ClassVar[str] = "attempt.claimed"

    job_id: JobId
    attempt: int = Field(ge=1)
    runner_id: RunnerId
    runner_started_at: float
    """The incarnation of the runner that has the slot (`started_at` of `runner.seen`)."""
    at: float


class ClaimRefused(Payload):
    """Refuses a claim: another runner has the attempt, or it is no longer offered. The runner's slot is free again."""

    type: ClassVar[str] = "claim.refused"

    job_id: JobId
    attempt: int
    runner_id: RunnerId
    reason: str
    pause: float = 0.0
    """Seconds for which the runner takes no offers, e.g. while it is in quarantine."""
