"""The state of jobs, as told by its only writer (cb.job), and the changelog of that writer (cb.state)."""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii as _quoted
from typing import Any, ClassVar

from cloud_builder.model.artifact import Artifact
from cloud_builder.model.capacity import Capacity
from cloud_builder.model.frozen import CachedJson
from cloud_builder.model.ids import (
    InputKey,
    JobId,
    RepositoryName,
    RequestId,
    Revision,
    RunnerId,
    SourceName,
    UnitPath,
)
from cloud_builder.model.inputs import Inputs
from cloud_builder.model.outcome import JobState, Outcome, is_good
from cloud_builder.model.priority import Priority
from cloud_builder.model.unit import Target

from .hold import Hold
from .payload import Payload


class JobEvent(Payload):
    """What every event about a job tells."""

    job_id: JobId
    request_id: RequestId
    source: SourceName
    revision: Revision
    unit: UnitPath
    target: Target
    state: JobState
    at: float


class JobBlocked(JobEvent):
    """Waits for other jobs, or for a runner that does not exist."""

    type: ClassVar[str] = "job.blocked"

    state: JobState = JobState.BLOCKED
    waiting_for: tuple[JobId, ...] = ()
    reason: str = ""


class JobQueued(JobEvent):
    """Could start now, waits for a slot. `not_before`: a retry waits at least until then."""

    type: ClassVar[str] = "job.queued"

    state: JobState = JobState.QUEUED
    input_key: InputKey
    attempt: int = 0
    """The attempt that ended in error, when this is a retry."""
    not_before: float = 0.0
    reason: str = ""
    inputs: Inputs | None = None
    """What `input_key` is the digest of."""
    priority: Priority = Priority.NORMAL
    constraints: Capacity = Capacity()
    expected_seconds: float = 0.0
    """Seconds that the last build of this unit and target took; 0: it was never built."""
    critical_path: float = 0.0
    """Seconds from its start to the end of the longest chain of jobs of its request that wait for it."""
    hold: Hold | None = None
    """Why it is not dispatched at this moment, if that has another cause than its turn."""


class JobRunning(JobEvent):
    """A runner has started the attempt."""

    type: ClassVar[str] = "job.running"

    state: JobState = JobState.RUNNING
    attempt: int
    runner_id: RunnerId


class JobFinished(JobEvent):
    """The verdict on a job. `published`: the collector puts the artifacts into `repository`.

    `sequence` orders verdicts on the same unit and target: a repository never goes back to a lower one."""

    type: ClassVar[str] = "job.finished"

    state: JobState = JobState.FINISHED
    outcome: Outcome
    attempt: int = 0
    runner_id: RunnerId | None = None
    input_key: InputKey | None = None
    artifacts: tuple[Artifact, ...] = ()
    log: Artifact | None = None
    code: str = ""
    """Of a job that was not built or did not succeed, why: `unchanged`, `dependency-failed`, `deadline`, `poison`, …"""
    message: str = ""
    hint: str = ""
    step: str = ""
    reused_from: JobId | None = None
    timings: dict[str, float] = {}
    publish: bool = False
    repository: RepositoryName | None = None
    sequence: int = 0
    skipped_for: tuple[JobId, ...] = ()
    """Of a job that was not tried because something that it builds with did not succeed: all that it builds with."""

    @property
    def is_good(self) -> bool:
        """Its artifacts exist and may be used."""
        return is_good(self.outcome, self.code)


class StateChanged(Payload):
    """The new value of one entity of the scheduler; `body` None: gone. Compacted by `entity_id`.

    `parent` and `rank` are where it lies among its like (ports.state); records of before they were told lack them. On
    the wire the body comes last, and an entity that is gone is a tombstone: a record without a value."""

    type: ClassVar[str] = "state.changed"

    entity_id: str
    """`<collection>/<id>`"""
    parent: str = ""
    rank: float = 0.0
    body: dict[str, Any] | None

    @classmethod
    def of(
        cls, entity_id: str, body: dict[str, Any] | CachedJson[Any] | None, parent: str = "", rank: float = 0.0
    ) -> StateChanged:
        """Of a value as it is: nothing is checked, and a frozen one becomes JSON only when the event is sent."""
        return cls._of({"entity_id": entity_id, "parent": parent, "rank": rank, "body": body})

    def wire(self) -> bytes | None:
        if self.body is None:
            return None
        body = self.body.json if isinstance(self.body, CachedJson) else json.dumps(self.body)
        place = f',"parent":{_quoted(self.parent)},"rank":{self.rank!r}' if self.parent or self.rank else ""
        return f'{{"entity_id":{_quoted(self.entity_id)}{place},"body":{body}}}'.encode()
