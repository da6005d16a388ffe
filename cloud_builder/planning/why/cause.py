"""The answer of `why`: a kind for programs, one line for people, details, the next step."""

from __future__ import annotations

from enum import StrEnum

from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import JobId, RequestId


class CauseKind(StrEnum):
    """A closed set of causes. The values are stable: programs compare them."""

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
    HELD = "held-back"
    KEPT = "kept"
    PUBLISHED = "published"
    DELETED = "deleted-unit"
    REJECTED = "rejected"
    SUCCESS = "request-succeeded"


class DifferenceKind(StrEnum):
    """A kind of input that changed. The values are stable: programs compare them."""

    NEVER = "never-built"
    AGAIN = "asked-again"
    FILES = "files"
    DEPENDENCY = "dependency"
    BUILDROOT = "buildroot"
    REPOSITORIES = "repositories"
    FORCED = "forced"
    PROFILES = "profiles"
    BUILD_OPTIONS = "build-options"
    RECIPE = "recipe"
    UNKNOWN = "not-recorded"


class Difference(LenientModel):
    """One input that changed since the last success. `lines`: what is behind the change, if that is known.

    `job_id`, `request_id`: the job that built the new input, or that failed with the same inputs, and its request."""

    kind: DifferenceKind
    text: str
    lines: tuple[str, ...] = ()
    job_id: JobId | None = None
    request_id: RequestId | None = None


class Detail(LenientModel):
    """One or more lines under a label."""

    label: str
    lines: tuple[str, ...]


class Cause(LenientModel):
    """Why a job or a request is in its state.

    `answer`: one line.
    `next`: what to do; empty: nothing.
    `because`: the inputs that changed, for which it is, or was, built.
    `root`: the cause of another job, if this one only waits for that job or failed because of it.
    """

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
    """Seconds since the epoch, by the durations of earlier builds; 0: not known."""
    because: tuple[Difference, ...] = ()
    root: Cause | None = None

    @property
    def deepest(self) -> Cause:
        """The cause at the end of the chain of `root`; this one, if there is no chain."""
        return self.root.deepest if self.root else self
