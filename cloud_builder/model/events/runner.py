"""Reports of runners: heartbeats (cb.runner), attempts (cb.attempt), live logs (cb.log)."""

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
    """An attempt that a runner has: it is being built, or it is finished and not yet reported."""

    job_id: JobId
    attempt: int


class RunnerSeen(Payload):
    """The heartbeat of a runner. It is also sent at each change of its attempts."""

    type: ClassVar[str] = "runner.seen"

    runner_id: RunnerId
    runner_group: str = ""
    arch: str
    slots: int = Field(ge=0)
    attempts: tuple[RunningAttempt, ...] = ()
    buildroots: tuple[str, ...] = ()
    """Keys of the build roots that are unpacked on this runner, and cache keys of those that it used last (its cache
    inventory)."""
    layers: tuple[str, ...] = ()
    """Cache keys of the dependency layers that it used last."""
    sources: tuple[str, ...] = ()
    """Names of the sources that it built last."""
    queues: tuple[str, ...] = ()
    """Shared queues that it takes offers from."""
    capabilities: dict[str, str] = {}
    capacity: Capacity = Capacity()
    """The limits of one job."""
    host: str = ""
    software: str = ""
    """The version of Cloud Builder."""
    started_at: float
    """Identifies the incarnation of the runner: attempts of an earlier incarnation are lost."""
    at: float


class RunnerDraining(Payload):
    """A runner takes no more work. Its attempts end, or go back to the queue."""

    type: ClassVar[str] = "runner.draining"

    runner_id: RunnerId
    reason: str = ""
    at: float


class AttemptStarted(Payload):
    """An attempt has begun."""

    type: ClassVar[str] = "attempt.started"

    job_id: JobId
    attempt: int
    runner_id: RunnerId
    started_at: float


class AttemptFinished(Payload):
    """An attempt has ended. The event counts only if `attempt` is the current attempt of the job."""

    type: ClassVar[str] = "attempt.finished"

    job_id: JobId
    attempt: int
    runner_id: RunnerId
    outcome: Outcome
    """`success`, `failure`, `error` or `canceled`."""
    code: str = ""
    message: str = ""
    hint: str = ""
    step: str = ""
    """The step that failed."""
    artifacts: tuple[Artifact, ...] = ()
    log: Artifact | None = None
    timings: dict[str, float] = {}
    """Seconds of each step."""
    peak_memory: int = 0
    """Bytes."""
    source_version: str = ""
    """The version of the source, as it was built; empty: not known."""
    started_at: float
    finished_at: float


class LogAppended(Payload):
    """The next piece of a live log."""

    type: ClassVar[str] = "log.appended"

    job_id: JobId
    attempt: int
    offset: int
    """Bytes of the log (UTF-8) before this piece."""
    text: str
