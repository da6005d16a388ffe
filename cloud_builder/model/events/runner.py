"""What runners tell: that they live (cb.runner), what became of orders (cb.attempt), live logs (cb.log)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from cloud_builder.model.artifact import Artifact
from cloud_builder.model.capacity import Capacity
from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import (
    JobId,
    RunnerId,
)
from cloud_builder.model.outcome import Outcome

from .payload import Payload


class RunningAttempt(LenientModel):
    """An attempt that a runner holds: being built, or done and not yet reported."""

    job_id: JobId
    attempt: int


class RunnerSeen(Payload):
    """A runner is alive: sent every heartbeat and at each change of what it holds.

    `started_at` tells one life of a runner from the next: what an earlier life held is lost."""

    type: ClassVar[str] = "runner.seen"

    runner_id: RunnerId
    runner_group: str = ""
    arch: str
    slots: int = Field(ge=0)
    attempts: tuple[RunningAttempt, ...] = ()
    buildroots: tuple[str, ...] = ()
    """Keys of the base roots that are unpacked on this runner, and words for those that it used lately."""
    layers: tuple[str, ...] = ()
    """Words for the dependency layers that it used lately."""
    sources: tuple[str, ...] = ()
    """Names of the sources that it built from lately."""
    queues: tuple[str, ...] = ()
    """Queues that it takes offers from (shared-queue dispatch)."""
    capabilities: dict[str, str] = {}
    capacity: Capacity = Capacity()
    """What one job may use."""
    host: str = ""
    software: str = ""
    started_at: float
    at: float


class RunnerDraining(Payload):
    """A runner takes no more work; its attempts were ended or handed back."""

    type: ClassVar[str] = "runner.draining"

    runner_id: RunnerId
    reason: str = ""
    at: float


class AttemptStarted(Payload):
    """The build has begun."""

    type: ClassVar[str] = "attempt.started"

    job_id: JobId
    attempt: int
    runner_id: RunnerId
    started_at: float


class AttemptFinished(Payload):
    """The build has ended. Counts only when `attempt` is the job's current one.

    `outcome` is success, failure, error or canceled. `step` names the part that said no; `timings`: seconds a step."""

    type: ClassVar[str] = "attempt.finished"

    job_id: JobId
    attempt: int
    runner_id: RunnerId
    outcome: Outcome
    code: str = ""
    message: str = ""
    hint: str = ""
    step: str = ""
    artifacts: tuple[Artifact, ...] = ()
    log: Artifact | None = None
    timings: dict[str, float] = {}
    peak_memory: int = 0
    """Bytes."""
    started_at: float
    finished_at: float


class LogAppended(Payload):
    """The next piece of a live log. `offset`: bytes of the log (UTF-8) before this piece."""

    type: ClassVar[str] = "log.appended"

    job_id: JobId
    attempt: int
    offset: int
    text: str
