"""Offers to a pool of runners, for shared-queue dispatch (cb.queue.*), and what runners and scheduler say of them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from cloud_builder.model.ids import JobId, RunnerId

from .payload import Payload


class JobOffered(Payload):
    """Whoever has a free slot may have this attempt: take the offer, claim it, acknowledge it, wait for the grant.

    A grant is an ordinary `job.assigned`. The same attempt may be offered more than once; its first claim counts."""

    type: ClassVar[str] = "job.offered"

    job_id: JobId
    attempt: int = Field(ge=1)
    """What its number will be."""
    queue: str
    """The name of the queue, below `cb.queue.`."""
    lease: float = 12.0
    """Seconds that a runner keeps a slot for the attempt it has claimed; then it takes another offer."""


class AttemptClaimed(Payload):
    """A runner with a free slot has taken an offer. Nothing is built before the grant."""

    type: ClassVar[str] = "attempt.claimed"

    job_id: JobId
    attempt: int = Field(ge=1)
    runner_id: RunnerId
    runner_started_at: float
    """Which life of the runner has the slot (`started_at` of `runner.seen`)."""
    at: float


class ClaimRefused(Payload):
    """No grant: the attempt is another's, or nobody's any more. The runner has its slot back."""

    type: ClassVar[str] = "claim.refused"

    job_id: JobId
    attempt: int
    runner_id: RunnerId
    reason: str
    pause: float = 0.0
    """Seconds for which the runner takes no more offers: it is not wanted now."""
