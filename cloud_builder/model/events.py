"""Every event that travels between the daemons, as its JSON body.

Each class names its wire type (`job.assigned`) and version. Readers ignore unknown fields; a breaking change is a new
version beside the old one. Times are seconds since the epoch (float, UTC). Who writes an event, where, and by which
key: `topics.py`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, model_validator

from .artifact import Artifact
from .frozen import Lenient
from .ids import (
    Digest,
    InputKey,
    JobId,
    QueryId,
    RepositoryName,
    RequestId,
    Revision,
    RunnerId,
    SourceName,
    TreeId,
    UnitPath,
)
from .limits import Limits
from .outcome import JobState, Kind, Outcome, RequestOutcome
from .unit import Problem, Target, Unit

REQUEST_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
SOURCE_NAME = r"^[a-z0-9][a-z0-9.+-]{0,62}$"


class Payload(Lenient):
    """Body of an event."""

    type: ClassVar[str]
    version: ClassVar[int] = 1


# --- cb.request: what people and CI jobs wish ---------------------------------------------------------------------


class BuildRequested(Payload):
    """Build these units. The only field a CI job must send is `source`, and either `units` or `all`."""

    type: ClassVar[str] = "build.requested"

    source: SourceName
    units: tuple[str, ...] = ()
    all: bool = False
    ref: str = ""
    """Branch, tag or commit; empty: the branch that the source follows."""
    targets: tuple[str, ...] = ()
    """Only these targets (`bookworm.x86_64`); empty: every target of each unit."""
    request_id: RequestId | None = Field(default=None, pattern=REQUEST_ID)
    requester: str = ""

    @model_validator(mode="after")
    def _names_something(self) -> BuildRequested:
        if bool(self.units) == self.all:
            raise ValueError('name the units to build in "units", or say "all": true (one of the two)')
        return self


class BuildCancelRequested(Payload):
    """Stop a request: nothing more of it is started, what runs is ended."""

    type: ClassVar[str] = "build.cancel-requested"

    request_id: RequestId
    requester: str = ""


class SourceAddRequested(Payload):
    """Follow a git repository under a name. Naming a known one again changes its URL or branch."""

    type: ClassVar[str] = "source.add-requested"

    source: SourceName = Field(pattern=SOURCE_NAME)
    url: str
    branch: str = ""
    """Empty: the default branch of the repository."""


class SourceRemoveRequested(Payload):
    """Forget a source. What was built from it stays published."""

    type: ClassVar[str] = "source.remove-requested"

    source: SourceName


# --- cb.intake: what cb-request made of it ------------------------------------------------------------------------


class SourceRevised(Payload):
    """The units of a source at one commit. Large sources come in several parts, in order, on one partition.

    `followed` says that the commit is the tip of the branch the source follows, and not one that a request named."""

    type: ClassVar[str] = "source.revised"

    source: SourceName
    url: str
    branch: str
    revision: Revision
    followed: bool
    units: tuple[Unit, ...] = ()
    problems: tuple[Problem, ...] = ()
    part: int = 0
    parts: int = 1


class SourceRemoved(Payload):
    """A source is no longer followed."""

    type: ClassVar[str] = "source.removed"

    source: SourceName


class RequestAccepted(Payload):
    """A wish, pinned to a commit whose `source.revised` went before it on the same partition.

    `publish`: the commit belongs to the branch that the source follows, so its packages go to the repositories.
    `dependants`: build what build-depends on these units, too (a push)."""

    type: ClassVar[str] = "request.accepted"

    request_id: RequestId
    source: SourceName
    ref: str
    revision: Revision
    units: tuple[UnitPath, ...]
    targets: tuple[str, ...] = ()
    requester: str = ""
    origin: str = "client"
    """client | push"""
    dependants: bool = False
    publish: bool = True
    accepted_at: float


class RequestRejected(Payload):
    """A wish that cannot be fulfilled, with the cause and the nearest valid name."""

    type: ClassVar[str] = "request.rejected"

    request_id: RequestId
    source: SourceName = SourceName("")
    ref: str = ""
    code: str
    message: str
    hint: str = ""
    requester: str = ""
    rejected_at: float


# --- cb.assignment: orders to runners -----------------------------------------------------------------------------


class JobAssigned(Payload):
    """Do this attempt. Self-contained: a runner needs nothing else to build.

    `dependencies` are the exact artifacts of ours that the build may use; they are in the object store already."""

    type: ClassVar[str] = "job.assigned"

    job_id: JobId
    attempt: int = Field(ge=1)
    runner_id: RunnerId
    request_id: RequestId
    source: SourceName
    url: str
    revision: Revision
    unit: UnitPath
    directory: str
    name: str
    kind: Kind
    tree: TreeId
    target: Target
    input_key: InputKey
    buildroot: Digest | None = None
    """sha256 of the unit's build_root.kiwi."""
    repositories: Digest | None = None
    """State of the package repositories that the build root is made from (see Unit)."""
    dependencies: tuple[Artifact, ...] = ()
    limits: Limits = Limits()
    lease: float = 12.0
    """Seconds the runner may be out of touch before it must stop the attempt by itself."""


class JobRevoked(Payload):
    """Stop this attempt; its result counts no more."""

    type: ClassVar[str] = "job.revoked"

    job_id: JobId
    attempt: int
    runner_id: RunnerId
    reason: str


# --- cb.job: the state of jobs, as told by its only writer --------------------------------------------------------


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
    message: str = ""
    hint: str = ""
    step: str = ""
    reused_from: JobId | None = None
    timings: dict[str, float] = {}
    publish: bool = False
    repository: RepositoryName | None = None
    sequence: int = 0


# --- cb.result: what CI waits for ---------------------------------------------------------------------------------


class JobResult(Lenient):
    """One line of a finished request."""

    job_id: JobId
    unit: UnitPath
    target: str
    outcome: Outcome
    message: str = ""
    artifacts: tuple[Artifact, ...] = ()
    log: Artifact | None = None


class RepositoryState(Lenient):
    """A published repository: `url` is what apt is pointed at."""

    repository: RepositoryName
    snapshot: str
    url: str


class RequestFinished(Payload):
    """The end of a request, sent when everything it names can be fetched.

    A file of sha256 `D` is at `<objects_url>/D`."""

    type: ClassVar[str] = "request.finished"

    request_id: RequestId
    source: SourceName
    ref: str = ""
    revision: Revision | None = None
    outcome: RequestOutcome
    code: str = ""
    message: str = ""
    hint: str = ""
    jobs: tuple[JobResult, ...] = ()
    repositories: tuple[RepositoryState, ...] = ()
    objects_url: str = ""
    accepted_at: float = 0.0
    finished_at: float


# --- cb.state: the scheduler's changelog --------------------------------------------------------------------------


class StateChanged(Payload):
    """The new value of one entity of the scheduler; `body` None: gone. Compacted by `entity` + id."""

    type: ClassVar[str] = "state.changed"

    entity_id: str
    """`<collection>/<id>`"""
    body: dict[str, Any] | None


# --- cb.runner: who can build -------------------------------------------------------------------------------------


class RunningAttempt(Lenient):
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
    """Keys of the base roots that are unpacked on this runner."""
    capabilities: dict[str, str] = {}
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


# --- cb.attempt: what became of an order --------------------------------------------------------------------------


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


# --- cb.log: live logs --------------------------------------------------------------------------------------------


class LogAppended(Payload):
    """The next piece of a live log. `offset`: bytes of the log (UTF-8) before this piece."""

    type: ClassVar[str] = "log.appended"

    job_id: JobId
    attempt: int
    offset: int
    text: str


# --- cb.repository: what can be installed -------------------------------------------------------------------------


class RepositoryPublished(Payload):
    """A repository has a new snapshot, or (when `previous` equals `snapshot`) already had these jobs' artifacts."""

    type: ClassVar[str] = "repository.published"

    repository: RepositoryName
    snapshot: str
    previous: str = ""
    url: str
    jobs: tuple[JobId, ...]
    packages: int = 0
    signed_by: str = ""
    """Fingerprint of the key."""
    warnings: tuple[str, ...] = ()
    """What a person should look at, e.g. two units that make the same package."""
    at: float


class PublishFailed(Payload):
    """These jobs' artifacts cannot be published; their request ends in `error` with this message."""

    type: ClassVar[str] = "publish.failed"

    repository: RepositoryName
    jobs: tuple[JobId, ...]
    message: str
    hint: str = ""
    at: float


# --- cb.query, cb.answer ------------------------------------------------------------------------------------------


class InfoAsked(Payload):
    """A question to cb-info: `what` names the view (units, status, log, …), `args` narrow it."""

    type: ClassVar[str] = "info.asked"

    query_id: QueryId
    what: str
    args: dict[str, Any] = {}


class InfoAnswered(Payload):
    """The answer: `data`, or an error with the nearest valid name in its hint."""

    type: ClassVar[str] = "info.answered"

    query_id: QueryId
    data: Any = None
    code: str = ""
    message: str = ""
    hint: str = ""


# --- cb.dead-letter -----------------------------------------------------------------------------------------------


class MessageDead(Payload):
    """A message that a daemon could not read or handle, kept whole.

    `value` and header values are base64 of the original bytes; `key` too (None: no key)."""

    type: ClassVar[str] = "message.dead"

    dead_id: str
    daemon: str
    topic: str
    partition: int
    offset: int
    key: str | None
    value: str | None
    headers: tuple[tuple[str, str], ...] = ()
    reason: str
    at: float
