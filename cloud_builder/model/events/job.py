"""The states of jobs (cb.job), and the changelog of their only writer, cb-scheduler (cb.state)."""

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
    TreeId,
    UnitPath,
)
from cloud_builder.model.inputs import Inputs
from cloud_builder.model.outcome import JobState, Outcome, is_good
from cloud_builder.model.priority import Priority
from cloud_builder.model.unit import Target

from .hold import Hold
from .payload import Payload


class JobEvent(Payload):
    """The fields that every event about a job has."""

    job_id: JobId
    request_id: RequestId
    source: SourceName
    revision: Revision
    unit: UnitPath
    target: Target
    state: JobState
    at: float
    round: int = 0
    """The round of a member of a dependency cycle, from 1; 0: not in a cycle."""
    profiles: tuple[str, ...] = ()
    """The build profiles that it is built with."""
    build_options: tuple[str, ...] = ()
    """The build options that it is built with."""


class JobBlocked(JobEvent):
    """A job waits for other jobs, or for a runner that does not exist."""

    type: ClassVar[str] = "job.blocked"

    state: JobState = JobState.BLOCKED
    waiting_for: tuple[JobId, ...] = ()
    """Jobs that it needs, or a duplicate whose result it will use."""
    reason: str = ""
    """Which runner is missing, or why no runner takes it."""


class JobQueued(JobEvent):
    """A job could start, and waits for a slot."""

    type: ClassVar[str] = "job.queued"

    state: JobState = JobState.QUEUED
    input_key: InputKey
    attempt: int = 0
    """If this is a retry: the attempt that ended in error."""
    not_before: float = 0.0
    """If this is a retry: the earliest time of the next attempt."""
    reason: str = ""
    is_forced: bool = False
    """It is built although a result of the same inputs exists."""
    inputs: Inputs | None = None
    """The values of which `input_key` is the digest."""
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
    """A job has ended."""

    type: ClassVar[str] = "job.finished"

    state: JobState = JobState.FINISHED
    outcome: Outcome
    attempt: int = 0
    runner_id: RunnerId | None = None
    input_key: InputKey | None = None
    artifacts: tuple[Artifact, ...] = ()
    log: Artifact | None = None
    code: str = ""
    """Why the job was not built or did not succeed: `unchanged`, `dependency-failed`, `deadline`, `poison`, …"""
    message: str = ""
    hint: str = ""
    step: str = ""
    """The step of the build that failed."""
    reused_from: JobId | None = None
    """The job whose artifacts are used, because it had the same input key."""
    timings: dict[str, float] = {}
    """Seconds of each step."""
    tree: TreeId | None = None
    """The git tree of the unit that was built."""
    source_version: str = ""
    """The version of the source, as it was built; empty: not known."""
    replaced_version: str = ""
    """The version that was published before; empty: none, or the job is not published."""
    notes: tuple[str, ...] = ()
    """What a person should know of a job that succeeded: a version that goes down, packages that are not published."""
    publish: bool = False
    """cb-collector puts the artifacts into `repository`."""
    repository: RepositoryName | None = None
    sequence: int = 0
    """Orders the results of the same unit and target: a repository never goes back to a lower one."""
    skipped_for: tuple[JobId, ...] = ()
    """If the job was skipped because a job that it needs did not succeed: all jobs that it needs."""

    @property
    def is_good(self) -> bool:
        """True if the artifacts of the job exist and may be used."""
        return is_good(self.outcome, self.code)


class StateChanged(Payload):
    """The new value of one document of the scheduler. Compacted by `entity_id`.

    On the wire `body` is the last field, and a deleted document is a tombstone: a record without a value."""

    type: ClassVar[str] = "state.changed"

    entity_id: str
    """`<collection>/<id>`"""
    parent: str = ""
    """The group of the document in its collection (ports.state)."""
    rank: float = 0.0
    """The sort key of the document in its group."""
    body: dict[str, Any] | None
    """None: the document was deleted."""

    @classmethod
    def of(
        cls, entity_id: str, body: dict[str, Any] | CachedJson[Any] | None, parent: str = "", rank: float = 0.0
    ) -> StateChanged:
        """Makes an event without validation. A frozen value becomes JSON only when the event is sent."""
        return cls._of({"entity_id": entity_id, "parent": parent, "rank": rank, "body": body})

    def wire(self) -> bytes | None:
        if self.body is None:
            return None
        body = self.body.json if isinstance(self.body, CachedJson) else json.dumps(self.body)
        index = f',"parent":{_quoted(self.parent)},"rank":{self.rank!r}' if self.parent or self.rank else ""
        return f'{{"entity_id":{_quoted(self.entity_id)}{index},"body":{body}}}'.encode()
