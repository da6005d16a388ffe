"""The answer to "why": a kind for programs, one line for people, details, and what to do next."""

from __future__ import annotations

from enum import StrEnum

from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import JobId, RequestId


class CauseKind(StrEnum):
    """Every cause there is. Stable: programs compare them."""

    DEPENDENCY = "waits-for-dependency"
    DUPLICATE = "waits-for-duplicate"
    SLOT = "waits-for-slot"
    BEHIND = "waits-behind-others"
    QUOTA = "waits-for-quota"
    CONSTRAINT = "waits-for-capacity"
    NO_RUNNER = "waits-for-runner"
    QUARANTINED_RUNNER = "waits-for-quarantined-runner"
    BACK_OFF = "waits-after-error"
    CLAIM = "waits-for-claim"
    ISOLATED = "waits-isolated"
    SILENT_RUNNER = "waits-for-silent-runner"
    NEXT = "next-to-start"
    STARTING = "starting"
    BUILDING = "building"
    BUILT = "built"
    REUSED = "reused"
    UNCHANGED = "unchanged"
    DEPENDENCY_FAILED = "dependency-failed"
    FAILED = "failed"
    POISON = "poison"
    CYCLE = "dependency-cycle"
    ERROR = "error"
    DEADLINE = "deadline"
    CANCELED = "canceled"
    SUPERSEDED = "superseded"
    NEVER_ASKED = "never-asked"
    BROKEN = "broken-unit"
    PLANNING = "waits-for-plan"
    RUNNING = "request-runs"
    PUBLISHING = "waits-for-publication"
    REJECTED = "rejected"
    SUCCESS = "request-succeeded"


class DifferenceKind(StrEnum):
    """What of a job's inputs is not what it was."""

    NEVER = "never-built"
    AGAIN = "asked-again"
    FILES = "files"
    DEPENDENCY = "dependency"
    BUILDROOT = "buildroot"
    REPOSITORIES = "repositories"
    PROFILES = "profiles"
    RECIPE = "recipe"
    UNKNOWN = "not-told"


class Difference(LenientModel):
    """One input that changed against the last success. `job_id`: the job that made the new one, where there is one."""

    kind: DifferenceKind
    text: str
    lines: tuple[str, ...] = ()
    job_id: JobId | None = None
    request_id: RequestId | None = None


class Detail(LenientModel):
    """A labelled remark of one or more lines."""

    label: str
    lines: tuple[str, ...]


class Cause(LenientModel):
    """Why a job or a request is where it is.

    `because`: what changed, so that it is (or was) built at all. `root`: the cause at the end of the chain, when what
    is asked about only waits for, or suffers from, something else."""

    kind: CauseKind
    answer: str
    details: tuple[Detail, ...] = ()
    next: str = ""
    job_id: str = ""
    request_id: str = ""
    source: str = ""
    unit: str = ""
    target: str = ""
    state: str = ""
    expected_start: float = 0.0
    """Seconds since the epoch, from how long builds took before; 0: cannot be told."""
    because: tuple[Difference, ...] = ()
    root: Cause | None = None

    @property
    def deepest(self) -> Cause:
        """The cause at the end of the chain; this one, when there is no chain."""
        return self.root.deepest if self.root else self
