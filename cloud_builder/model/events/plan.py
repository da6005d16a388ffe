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
    order: int = 0
    """0: needs nothing; else one more than the highest of what it needs. Jobs of one order go side by side."""
    wanted: bool = True
    """Named by the request, and not drawn in."""
    round: int = 0
    """Of a member of a dependency cycle: which time it is built; 0: it is in none."""
    expected: float = 0.0
    """Seconds its last build took; 0: it was never built."""
    job_id: JobId | None = None
    """The job whose result would be used, or that is building the same right now."""


class PlanTotals(LenientModel):
    """The whole plan in figures. Seconds are from the last build of each job; those `never_built` count nothing.

    `work`: of all jobs that would be built; `most_work`: also of those that may have to be. `path`: the longest chain
    of jobs that wait for each other; `slots`: how many jobs all live runners take at a time, of those that could take
    one of these. `makespan`: the greater of path and work ÷ slots, also of each kind of runner by itself: no order
    could be quicker. `most_…`: with all that may be."""

    jobs: int = 0
    build: int = 0
    maybe: int = 0
    reused: int = 0
    unchanged: int = 0
    cannot: int = 0
    never_built: int = 0
    work: float = 0.0
    most_work: float = 0.0
    path: float = 0.0
    most_path: float = 0.0
    slots: int = 0
    makespan: float = 0.0
    most_makespan: float = 0.0
    cycles: tuple[tuple[UnitPath, ...], ...] = ()
    """Members of each dependency cycle."""
    stuck: tuple[str, ...] = ()
    """What would keep jobs waiting for ever: runners that are not there."""


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
