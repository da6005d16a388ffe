"""What a request would do, without doing it (cb.plan): the answer to `cb-ctl plan`."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import JobId, RequestId, Revision, SourceName, UnitPath

from .payload import Payload


class PlanVerdict(StrEnum):
    """What would become of a job."""

    BUILD = "build"
    MAYBE = "maybe"
    """Built only if something it builds with comes out other than it was."""
    REUSED = "reused"
    """Named, and built already with the same inputs."""
    UNCHANGED = "unchanged"
    """Drawn in, and built already with the same inputs."""
    CANNOT = "cannot"
    """In a dependency cycle that has no way in, or needs what is."""


class PlannedJob(LenientModel):
    """A unit for a target. `number`: its place in the plan; `needs`: the numbers of those that come first."""

    number: int
    source: SourceName
    unit: UnitPath
    target: str
    verdict: PlanVerdict
    why: str = ""
    needs: tuple[int, ...] = ()
    level: int = 0
    """0: needs no other job of the plan; else one more than the highest level among the jobs that it needs. Jobs of one
    level can run at the same time."""
    is_requested: bool = True
    """The request named the job; false: it was drawn in."""
    round: int = 0
    """Of a member of a dependency cycle: which time it is built; 0: it is in none."""
    expected_seconds: float = 0.0
    """Seconds that the last build of this unit and target took; 0: it was never built."""
    job_id: JobId | None = None
    """The job whose result would be used, or that is building the same right now."""


class PlanTotals(LenientModel):
    """The whole plan in figures. Seconds are those of the last build of each job.

    Jobs that were never built count as zero seconds. `most_…` also counts the jobs with verdict `maybe`."""

    jobs: int = 0
    build: int = 0
    maybe: int = 0
    reused: int = 0
    unchanged: int = 0
    cannot: int = 0
    never_built: int = 0
    """Jobs that would be built, or may be, and were never built before."""
    work: float = 0.0
    """Seconds of all builds together."""
    most_work: float = 0.0
    critical_path: float = 0.0
    """Seconds of the longest chain of jobs that wait for each other."""
    most_critical_path: float = 0.0
    slots: int = 0
    """Slots of all live runners that could take one of these jobs."""
    makespan: float = 0.0
    """The greater of `critical_path` and `work` ÷ `slots`, also of each kind of runner by itself: no schedule is
    faster."""
    most_makespan: float = 0.0
    cycles: tuple[tuple[UnitPath, ...], ...] = ()
    """Members of each dependency cycle."""
    stuck: tuple[str, ...] = ()
    """Why some jobs would wait for ever: the runners that are missing."""


class PlanDrawn(Payload):
    """A plan, or a part of it: the totals are in the first one. Nothing was started, nothing will be."""

    type: ClassVar[str] = "plan.drawn"

    request_id: RequestId
    source: SourceName
    ref: str = ""
    revision: Revision
    totals: PlanTotals = PlanTotals()
    jobs: tuple[PlannedJob, ...] = ()
    part: int = 0
    parts: int = 1
    drawn_at: float
