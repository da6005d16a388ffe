"""What the scheduler remembers: requests, jobs and runners, as frozen values.

A change is a new value (`model_copy`); who holds the old one still has the old state.
"""

from __future__ import annotations

from cloud_builder.model.artifact import Artifact
from cloud_builder.model.capacity import NOTHING, Capacity
from cloud_builder.model.events import RepositoryState
from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import (
    Digest,
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
from cloud_builder.model.outcome import JobState, Kind, Outcome, is_good
from cloud_builder.model.priority import Priority
from cloud_builder.model.unit import Target


class RunnerLoss(LenientModel):
    """A runner that ended while it ran an attempt. `life`: its `started_at`; `begun_at`: of the attempt.

    `is_sure`: it said so itself, or came back as another process; else it fell silent and was not heard since."""

    runner_id: RunnerId
    runner_incarnation: float
    begun_at: float
    attempt: int
    is_confirmed: bool = True


class JobStatus(LenientModel):
    """How far a job has come: what changes with each of its steps.

    `twin`: another job that builds the same input key right now; this one takes over its result. `errors`: how often it
    ended in `error`; `tried`: runners that had it. `life`: `started_at` of the runner life that holds it."""

    state: JobState = JobState.BLOCKED
    duplicate_of: JobId | None = None
    attempt: int = 0
    errors: int = 0
    losses: tuple[RunnerLoss, ...] = ()
    """Runners that died while they ran it, as far as can be told."""
    tried_runners: tuple[RunnerId, ...] = ()
    not_before: float = 0.0
    queued_at: float = 0.0
    """When it could start for the first time; 0: not yet."""
    runner_id: RunnerId | None = None
    runner_incarnation: float = 0.0
    assigned_at: float = 0.0
    offer_count: int = 0
    """How often it was offered on a shared queue. While it is offered, `assigned_at` tells since when."""
    offered_to: RunnerId | None = None
    """The runner whose free slot the open offer counts for; any of its pool may claim it."""
    begun_at: float = 0.0
    """When the current attempt began, by the runner's clock; 0: not yet."""

    outcome: Outcome | None = None
    code: str = ""
    message: str = ""
    hint: str = ""
    step: str = ""
    artifacts: tuple[Artifact, ...] = ()
    log: Artifact | None = None
    timings: dict[str, float] = {}
    reused_from: JobId | None = None
    saved: float = 0.0
    """Seconds that the build took which made it unnecessary."""
    published: bool = False


class JobRecord(JobStatus):
    """One unit × one target of a request.

    `needs`: jobs of the same request that must be good first."""

    job_id: JobId
    request_id: RequestId
    number: int
    sequence: int
    source: SourceName
    requester: str = ""
    url: str
    revision: Revision
    unit: UnitPath
    directory: str
    name: str
    kind: Kind
    tree: TreeId
    target: Target
    provides: tuple[str, ...] = ()
    build_depends: str = ""
    buildroot: Digest | None = None
    repositories: Digest | None = None
    needs: tuple[JobId, ...] = ()
    publish: bool = False
    is_requested: bool = True
    """The request names it; False: drawn in, because a named one needs it or is needed by it."""
    priority: Priority = Priority.NORMAL
    constraints: Capacity = NOTHING
    profiles: tuple[str, ...] = ()
    """Build profiles that break a cycle."""
    round: int = 0
    """Of a member of a dependency cycle: which time it is built, from 1; the highest one counts. 0: not in a cycle."""
    expected: float = 0.0
    """Seconds its unit and target took last; 0: never built."""
    path: float = 0.0
    """Seconds from its start to the end of the longest chain of jobs that wait for it."""
    input_key: InputKey | None = None
    """None: what it needs is not there yet."""
    inputs: Inputs | None = None
    dependencies: tuple[Artifact, ...] = ()

    @property
    def is_finished(self) -> bool:
        return self.state is JobState.FINISHED

    @property
    def is_good(self) -> bool:
        """What it makes exists and may be used: built, reused, or not touched because nothing had changed."""
        return self.outcome is not None and is_good(self.outcome, self.code)

    @property
    def is_over(self) -> bool:
        """It has its outcome, and what it made can be fetched."""
        return self.is_finished and not self.waits_for_publication

    @property
    def deaths(self) -> int:
        """How often a runner died of it."""
        return len(self.losses)

    @property
    def is_assigned(self) -> bool:
        """A runner has it."""
        return self.state in (JobState.ASSIGNED, JobState.RUNNING)

    @property
    def takes_slot(self) -> bool:
        """A runner has it, or is kept free for whoever claims it."""
        return self.is_assigned or self.state is JobState.OFFERED

    @property
    def repository(self) -> RepositoryName | None:
        """Where its packages are published; None when they are not."""
        if not self.publish or self.kind is not Kind.PACKAGE:
            return None
        return RepositoryName(f"{self.source}-{self.target.dist}")

    @property
    def waits_for_publication(self) -> bool:
        return self.is_good and self.repository is not None and not self.published


class RequestRecord(LenientModel):
    """An accepted request and the jobs it became."""

    request_id: RequestId
    sequence: int
    source: SourceName
    ref: str
    revision: Revision
    requester: str = ""
    origin: str = "client"
    accepted_at: float
    finished_at: float = 0.0
    priority: Priority = Priority.NORMAL
    deadline: float | None = None
    """Seconds from `accepted_at`."""
    jobs: tuple[JobId, ...] = ()
    canceled: bool = False
    repositories: dict[str, RepositoryState] = {}
    failure: str = ""
    """Why no verdict of the jobs counts: a dependency cycle, a publication that failed."""
    code: str = ""
    message: str = ""
    """What ended it before its jobs did: `deadline`, …, in words."""


class RunnerRecord(LenientModel):
    """A live runner: what it announced, and when we last heard of it (our clock)."""

    runner_id: RunnerId
    runner_group: str
    arch: str
    slots: int
    started_at: float
    last_seen: float
    attempts: frozenset[tuple[JobId, int]] = frozenset()
    """What it holds by its own word and by our orders."""
    queues: frozenset[str] = frozenset()
    """From which it takes offers."""
    capacity: Capacity = Capacity()
    buildroots: frozenset[str] = frozenset()
    layers: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()

    @property
    def free(self) -> int:
        return max(0, self.slots - len(self.attempts))


class BuildResult(LenientModel):
    """The result that an input key led to."""

    job_id: JobId
    artifacts: tuple[Artifact, ...]
    log: Artifact | None = None
    seconds: float = 0.0
    """How long the build took."""
    used_at: float = 0.0
    """When it was built, or last reused by a day; 0: before that was written down."""


class PublishedPackage(LenientModel):
    """The newest published build of a binary package for a target: what other sources build with."""

    artifact: Artifact
    source: SourceName
    unit: UnitPath
    sequence: int
    input_key: InputKey | None = None
    """What it was built from; None: before that was written down."""
