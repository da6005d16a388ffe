"""Facts about jobs, requests, runners and earlier builds, as cb-info stores them, and the protocol to look them up.

A field that older events did not have has a default that means "not known".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cloud_builder.model.capacity import Capacity
from cloud_builder.model.events import Hold, RunningAttempt
from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import InputKey, JobId, RequestId, Revision, RunnerId, SourceName, TreeId, UnitPath
from cloud_builder.model.inputs import Inputs, UsedArtifact
from cloud_builder.model.outcome import JobState, Outcome, RequestOutcome, is_good
from cloud_builder.model.priority import Priority
from cloud_builder.model.repository import HeldBuild
from cloud_builder.model.text import first_line
from cloud_builder.model.unit import Target
from cloud_builder.planning.schedule.queue import QueuePolicy


class JobFacts(LenientModel):
    """A job as its events describe it.

    `needs`: the jobs whose packages it is built with.
    `waiting_for`: the jobs that block, or blocked, it.
    `not_before`: the earliest time of the next attempt.
    `hold`: what keeps the queued job from being dispatched, even if it is next.
    """

    job_id: JobId
    request_id: RequestId
    source: SourceName = SourceName("")
    revision: Revision | None = None
    unit: UnitPath
    target: Target
    state: JobState
    outcome: Outcome | None = None
    at: float = 0.0
    first_at: float = 0.0
    queued_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0
    needs: tuple[JobId, ...] = ()
    waiting_for: tuple[JobId, ...] = ()
    reason: str = ""
    round: int = 0
    profiles: tuple[str, ...] = ()
    build_options: tuple[str, ...] = ()
    is_forced: bool = False
    source_version: str = ""
    replaced_version: str = ""
    notes: tuple[str, ...] = ()
    input_key: InputKey | None = None
    inputs: Inputs | None = None
    attempt: int = 0
    not_before: float = 0.0
    priority: Priority = Priority.NORMAL
    constraints: Capacity = Capacity()
    expected_seconds: float = 0.0
    critical_path: float = 0.0
    hold: Hold | None = None
    runner_id: RunnerId | None = None
    code: str = ""
    message: str = ""
    hint: str = ""
    step: str = ""
    reused_from: JobId | None = None
    publish: bool = False
    repository: str | None = None
    has_log: bool = False

    @property
    def is_finished(self) -> bool:
        return self.state is JobState.FINISHED

    @property
    def is_good(self) -> bool:
        """True if its artifacts exist: it was built, or an earlier build is used."""
        return self.outcome is not None and is_good(self.outcome, self.code)

    @property
    def name(self) -> str:
        return f"{self.unit} for {self.target.name}"

    @property
    def since(self) -> float:
        """When the job was first ready to start; if that is not known, when it was created."""
        return self.queued_at or self.first_at


class PastBuild(LenientModel):
    """A finished job of a unit. `built_by`: the job that built its artifacts: itself, or the one that was reused."""

    job_id: JobId
    request_id: RequestId
    revision: Revision | None = None
    outcome: Outcome
    input_key: InputKey | None = None
    inputs: Inputs | None = None
    seconds: float = 0.0
    """How long the build took; 0: nothing was built."""
    at: float
    built_by: JobId
    message: str = ""
    files: dict[str, str] = {}
    """Binary package or file name → sha256."""


class PushedChanges(LenientModel):
    """The files of a unit that pushes changed between two of its trees. `revision`: the newest one.

    `more`: the number of further files.
    `complete`: True if every push between the two trees is known, so that no file is missing.
    """

    revision: Revision
    files: tuple[str, ...] = ()
    more: int = 0
    complete: bool = True


class RequestFacts(LenientModel):
    """A request: accepted, rejected or finished. `plan`: True if it is only a preview."""

    request_id: RequestId
    source: SourceName = SourceName("")
    state: str = ""
    outcome: RequestOutcome | None = None
    origin: str = "client"
    requester: str = ""
    ref: str = ""
    revision: Revision | None = None
    priority: Priority = Priority.NORMAL
    deadline: float | None = None
    plan: bool = False
    accepted_at: float = 0.0
    finished_at: float = 0.0
    code: str = ""
    message: str = ""
    hint: str = ""
    saved: float = 0.0
    held: tuple[HeldBuild, ...] = ()
    """Builds that were not published at its end."""


class AttemptFacts(LenientModel):
    """One attempt. Without an outcome it has not ended."""

    job_id: JobId
    attempt: int
    runner_id: RunnerId
    outcome: Outcome | None = None
    code: str = ""
    message: str = ""
    started_at: float = 0.0
    finished_at: float = 0.0

    @property
    def line(self) -> str:
        """`2: runner-1, error: no route to the mirror`."""
        summary = f"{self.attempt}: {self.runner_id}, {self.outcome or 'not ended'}"
        message = first_line(self.message)
        return f"{summary}: {message}" if message else summary


class RunnerFacts(LenientModel):
    """A runner by its last heartbeat.

    `state`: online, draining, silent or quarantined.
    `reason`: why it is draining or quarantined.
    `until`: a quarantined runner gets no job before this time, and then one probe job.
    """

    runner_id: RunnerId
    runner_group: str = ""
    arch: str
    slots: int
    attempts: tuple[RunningAttempt, ...] = ()
    capacity: Capacity = Capacity()
    buildroots: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    started_at: float = 0.0
    at: float = 0.0
    state: str = "online"
    reason: str = ""
    until: float = 0.0

    def usable(self, now: float) -> int:
        """Returns the slots that may be used now, busy or free."""
        if self.state == "quarantined":
            return min(1, self.slots) if self.until <= now else 0
        return self.slots if self.state == "online" else 0


class FactSource(Protocol):
    """Lookups of facts. Every method may find nothing."""

    def job(self, job_id: JobId) -> JobFacts | None: ...

    def jobs_of(self, request_id: RequestId) -> Sequence[JobFacts]: ...

    def request(self, request_id: RequestId) -> RequestFacts | None: ...

    def attempts(self, job_id: JobId) -> Sequence[AttemptFacts]:
        """Returns the attempts of a job, by number."""

    def runners(self) -> Sequence[RunnerFacts]: ...

    def queue_policy(self) -> QueuePolicy:
        """Returns the policy of the scheduler's queue."""

    def queued(self) -> Sequence[JobFacts]:
        """Returns the queued jobs, oldest first; if there are very many, only the oldest."""

    def last_success(self, job: JobFacts) -> PastBuild | None:
        """Returns the last success of the job's unit and target from before this job could start."""

    def last_failure(self, job: JobFacts) -> PastBuild | None:
        """Returns their last failure or error from before this job could start."""

    def build_of(self, used: UsedArtifact, target: str) -> PastBuild | None:
        """Returns the job that built an artifact."""

    def pushed_changes(self, source: SourceName, unit: UnitPath, before: TreeId, after: TreeId) -> PushedChanges | None:
        """Returns what pushes changed in a unit between two of its trees."""
