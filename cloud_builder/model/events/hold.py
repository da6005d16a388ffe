"""The hold of a job: why it is not dispatched although it could start (in `job.queued`)."""

from __future__ import annotations

from enum import StrEnum

from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import JobId, RunnerId


class HoldKind(StrEnum):
    """The kinds of holds. Newer writers may have kinds that a reader does not know."""

    OFFERED = "offered"
    """It is offered on a shared queue, and no runner has claimed it yet."""
    ISOLATED = "isolated"
    """It is a suspect, and other suspects run on the runner that it would have been given to."""
    SUSPECTED_LOSS = "suspected-loss"
    """Its runners were lost or silent during its attempts: a failure, unless a silent one reports in time."""


class Hold(LenientModel):
    """The cause that keeps a queued job from being dispatched even if it is its turn."""

    kind: str
    """`offered`, `isolated` or `suspected-loss`; readers ignore a kind that they do not know."""
    until: float
    """When the scheduler checks the hold again, at the latest."""
    since: float = 0.0
    """When the hold began; 0: not known."""
    queue: str = ""
    """`offered`: the name of the queue, without `cb.queue.`."""
    offers: int = 0
    """`offered`: how many times the job was offered, with this time."""
    max_offers: int = 0
    """`offered`: after this many unclaimed offers the job is assigned to a runner directly."""
    suspects: tuple[JobId, ...] = ()
    """`isolated`: the suspects that run on `runner_id`."""
    runner_id: RunnerId | None = None
    """`isolated`: the runner that the job would have been given to."""
    lost_runners: tuple[RunnerId, ...] = ()
    """`isolated`, `suspected-loss`: the runners that were lost, or are silent, since an attempt at this job."""
