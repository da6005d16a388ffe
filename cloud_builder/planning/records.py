"""The scheduler's records of requests, jobs and runners, as frozen values.

A change makes a new value (`model_copy`); code that kept the old value still sees the old state.
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
from cloud_builder.model.rebuild import DEFAULT_SUFFIX, Rebuild
from cloud_builder.model.repository import HeldBuild
from cloud_builder.model.unit import Target


class RunnerLoss(LenientModel):
    """A runner that ended, or fell silent, while it ran an attempt of a job."""

    runner_id: RunnerId
    runner_incarnation: float
    """`started_at` of the runner process that ran the attempt."""
    begun_at: float
    """When the attempt began, by the runner's clock."""
    attempt: int
    is_confirmed: bool = True
    """The runner reported the loss after its restart, or came back as another process. False: it fell silent, and no
    heartbeat has come since."""


class JobStatus(LenientModel):
    """The progress of a job: the fields that change with its steps."""

    state: JobState = JobState.BLOCKED
    duplicate_of: JobId | None = None
    """Another job that builds the same input key at the moment; this job takes over its result."""
    attempt: int = 0
    """Number of the last attempt; 0: there was none."""
    errors: int = 0
    """Attempts that ended in `error` and count against `RetryPolicy.max_errors`."""
    losses: tuple[RunnerLoss, ...] = ()
    """Runners that ended, or fell silent, while they ran the job, as far as the scheduler knows."""
    tried_runners: tuple[RunnerId, ...] = ()
    """Runners that had the job, the latest last."""
    not_before: float = 0.0
    """The earliest time of the next attempt."""
    queued_at: float = 0.0
    """When the job could start for the first time; 0: not yet."""
    runner_id: RunnerId | None = None
    runner_incarnation: float = 0.0
    """`started_at` of the runner process that has the job."""
    assigned_at: float = 0.0
    """When the job was assigned; while it is offered: the time of the offer."""
    offer_count: int = 0
    """Number of offers on a shared queue so far."""
    offered_to: RunnerId | None = None
    """The runner whose free slot the open offer counts for; any runner of its pool may claim the offer."""
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
    """Seconds that the earlier build took, whose result is used instead."""
    published: bool = False
    rebuild: Rebuild | None = None
    """The rebuild number with which the source is built; None: not known to be published."""
    first_build: tuple[Digest, ...] = ()
    """The packages that were built with the published number, if they were built again with the next one."""
    source_version: str = ""
    """The version of the source, as it was built."""
    replaced_version: str = ""
    """The version that was published before; empty: none, or the job is not published."""
    notes: tuple[str, ...] = ()
    """What a person should know of a job that succeeded: a version that goes down, packages that are not published."""


class JobRecord(JobStatus):
    """One unit × one target of a request: job spec and job status."""

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
    unverified: tuple[str, ...] = ()
    needs: tuple[JobId, ...] = ()
    """Jobs of the same request that must be good before this job starts."""
    publish: bool = False
    is_requested: bool = True
    """The request names the unit. False: the job was added because a named unit needs it, or because it needs one."""
    is_forced: bool = False
    """It is built although a result of its input key exists."""
    priority: Priority = Priority.NORMAL
    constraints: Capacity = NOTHING
    profiles: tuple[str, ...] = ()
    """Build profiles: those of the manifest, of the request if it names the unit, and `cycle_profiles`; sorted."""
    build_options: tuple[str, ...] = ()
    """Build options: those of the manifest, and of the request if it names the unit; sorted."""
    cycle_profiles: tuple[str, ...] = ()
    """Build profiles that break a dependency cycle."""
    substituted: tuple[UnitPath, ...] = ()
    """Members of its dependency cycle whose packages it is built without: the distribution's are used instead."""
    round: int = 0
    """Round of a member of a dependency cycle, from 1; the result of the highest round counts. 0: not in a cycle."""
    expected_seconds: float = 0.0
    """Seconds that the last build of the unit for the target took; 0: never built."""
    critical_path: float = 0.0
    """Seconds from the start of the job to the end of the longest chain of jobs that wait for it."""
    input_key: InputKey | None = None
    """None: its needs are not finished yet."""
    inputs: Inputs | None = None
    dependencies: tuple[Artifact, ...] = ()
    rebuild_suffix: str = DEFAULT_SUFFIX
    """The pattern of the source's rebuild suffix."""

    @property
    def is_finished(self) -> bool:
        return self.state is JobState.FINISHED

    @property
    def is_good(self) -> bool:
        """True when the artifacts of the job exist and may be used: it was built, reused or unchanged."""
        return self.outcome is not None and is_good(self.outcome, self.code)

    @property
    def is_complete(self) -> bool:
        """True when the job has its outcome and its artifacts can be fetched."""
        return self.is_finished and not self.waits_for_publication

    @property
    def loss_count(self) -> int:
        """The number of runner losses, confirmed and suspected, during attempts of the job."""
        return len(self.losses)

    @property
    def is_assigned(self) -> bool:
        """True when a runner has the job."""
        return self.state in (JobState.ASSIGNED, JobState.RUNNING)

    @property
    def takes_slot(self) -> bool:
        """True when a runner has the job, or a slot is kept free for the runner that claims it."""
        return self.is_assigned or self.state is JobState.OFFERED

    @property
    def repository(self) -> RepositoryName | None:
        """The repository in which the job's packages are published; None: they are not published."""
        if not self.publish or self.kind is not Kind.PACKAGE:
            return None
        return RepositoryName(f"{self.source}-{self.target.dist}")

    @property
    def waits_for_publication(self) -> bool:
        return self.is_good and self.repository is not None and not self.published


class RequestRecord(LenientModel):
    """An accepted request and its jobs."""

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
    held: dict[str, tuple[HeldBuild, ...]] = {}
    """Repository → builds of its jobs that the newest snapshot does not list yet."""
    failure: str = ""
    """The cause when the request failed although its jobs did not: a dependency cycle, a publication that failed."""
    code: str = ""
    """The cause when the request was finished before its jobs: `deadline`, `superseded`, …"""
    message: str = ""
    """The same cause in words."""


class RunnerRecord(LenientModel):
    """A live runner: its last announcement (`runner.seen`)."""

    runner_id: RunnerId
    runner_group: str
    arch: str
    slots: int
    started_at: float
    """When the runner process started, by its clock; identifies its incarnation."""
    last_seen: float
    """Time of the last heartbeat, by the scheduler's clock."""
    attempts: frozenset[tuple[JobId, int]] = frozenset()
    """Attempts that the runner announced, and attempts that were assigned to it since."""
    queues: frozenset[str] = frozenset()
    """Shared queues from which the runner takes offers."""
    capacity: Capacity = Capacity()
    buildroots: frozenset[str] = frozenset()
    layers: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()

    @property
    def free(self) -> int:
        return max(0, self.slots - len(self.attempts))


class BuildResult(LenientModel):
    """The result of building an input key."""

    job_id: JobId
    artifacts: tuple[Artifact, ...]
    log: Artifact | None = None
    seconds: float = 0.0
    """Duration of the build."""
    source_version: str = ""
    """The version of the source, as it was built."""
    rebuild: Rebuild | None = None
    """The rebuild number that it was built with."""
    used_at: float = 0.0
    """When the result was built or last reused, to the day; the store sets it."""


class PublishedPackage(LenientModel):
    """The newest published build of a binary package for a target; other sources build with it."""

    artifact: Artifact
    source: SourceName
    unit: UnitPath
    sequence: int
    input_key: InputKey | None = None
    """The input key that the package was built from."""
