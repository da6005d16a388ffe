"""What is known when somebody asks why: values as cb-info keeps them, and how more of them is asked for.

Every field that an older event did not tell has a default that means "not known".
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
from cloud_builder.model.unit import Target
from cloud_builder.planning.schedule.queue import QueuePolicy


class JobFacts(LenientModel):
    """A job as its events told it. `needs`: the jobs that it builds with; `waiting_for`: those it was blocked by."""

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
        """What it makes exists."""
        return self.outcome is not None and is_good(self.outcome, self.code)

    @property
    def name(self) -> str:
        return f"{self.unit} for {self.target.name}"

    @property
    def since(self) -> float:
        """When it could have started for the first time, as far as it is known."""
        return self.queued_at or self.first_at


class PastBuild(LenientModel):
    """How a unit's job ended once. `built_by`: the job that made what it left behind (itself, unless it was reused)."""

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
    """What pushes changed in a unit between two of its trees: the newest revision, and the files of all of them.

    `complete`: every push between the two trees is known, so no file is missing."""

    revision: Revision
    files: tuple[str, ...] = ()
    more: int = 0
    complete: bool = True


class RequestFacts(LenientModel):
    """A request as it was accepted, or rejected, and how it ended."""

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


class AttemptFacts(LenientModel):
    """One try. Without an outcome it has not ended."""

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
        told = f"{self.attempt}: {self.runner_id}, {self.outcome or 'not ended'}"
        message = next(iter(self.message.splitlines()), "")
        return f"{told}: {message}" if message else told


class RunnerFacts(LenientModel):
    """A runner by its last word. `state`: online, draining, silent or set-aside; `reason` of the last and of draining.

    One that is set aside gets nothing before `until`, and then one job, to prove itself."""

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
        """Slots that may be used now, whether they are busy or not."""
        if self.state == "quarantined":
            return min(1, self.slots) if self.until <= now else 0
        return self.slots if self.state == "online" else 0


class FactSource(Protocol):
    """Where facts come from. Every method may find nothing."""

    def job(self, job_id: JobId) -> JobFacts | None: ...

    def jobs_of(self, request_id: RequestId) -> Sequence[JobFacts]: ...

    def request(self, request_id: RequestId) -> RequestFacts | None: ...

    def attempts(self, job_id: JobId) -> Sequence[AttemptFacts]:
        """By number."""

    def runners(self) -> Sequence[RunnerFacts]: ...

    def rules(self) -> QueuePolicy:
        """By which the scheduler orders what waits."""

    def queued(self) -> Sequence[JobFacts]:
        """Jobs that could start now, oldest first; of very many the oldest."""

    def last_good(self, job: JobFacts) -> PastBuild | None:
        """The last time that the job's unit and target ended well before this job could start."""

    def last_bad(self, job: JobFacts) -> PastBuild | None:
        """The last time that they did not."""

    def made(self, used: UsedArtifact, target: str) -> PastBuild | None:
        """The job that built an artifact."""

    def pushed(self, source: SourceName, unit: UnitPath, before: TreeId, after: TreeId) -> PushedChanges | None: ...
