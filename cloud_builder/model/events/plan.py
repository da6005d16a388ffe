"""The plan of a request that is not carried out (cb.plan): the answer to `cb-ctl plan`."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import JobId, RequestId, Revision, SourceName, UnitPath

from .payload import Payload


class PlanVerdict(StrEnum):
    """The forecast for a job."""

    BUILD = "build"
    MAYBE = "maybe"
    """Built only if a job that it needs has another output than before."""
    REUSED = "reused"
    """Requested, and built before with the same inputs."""
    UNCHANGED = "unchanged"
    """Drawn in, and built before with the same inputs."""
    CANNOT = "cannot"
    """It is broken, or needs a unit that is."""


class PlannedJob(LenientModel):
    """A unit for a target."""

    number: int
    """From 1, in this plan."""
    source: SourceName
    unit: UnitPath
    target: str
    verdict: PlanVerdict
    why: str = ""
    needs: tuple[int, ...] = ()
    """The numbers of the jobs that come before it."""
    level: int = 0
    """0: needs no other job of the plan; else one more than the highest level among the jobs that it needs. Jobs of one
    level can run at the same time."""
    is_requested: bool = True
    """The request named the job; false: it was drawn in."""
    round: int = 0
    """The round of a member of a dependency cycle, from 1; 0: not in a cycle."""
    expected_seconds: float = 0.0
    """Seconds that the last build of this unit and target took; 0: it was never built."""
    job_id: JobId | None = None
    """The job whose result would be used, or an open duplicate."""


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
    """The plan of a request, or a part of it; nothing is built. The first part has the totals."""

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
