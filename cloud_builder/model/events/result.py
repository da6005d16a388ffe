"""The end of requests (cb.result). CI jobs wait for it."""

from __future__ import annotations

from typing import ClassVar

from cloud_builder.model.artifact import Artifact
from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import (
    JobId,
    RepositoryName,
    RequestId,
    Revision,
    SourceName,
    UnitPath,
)
from cloud_builder.model.outcome import Outcome, RequestOutcome
from cloud_builder.model.repository import HeldBuild

from .payload import Payload


class JobResult(LenientModel):
    """The result of one job of a finished request."""

    job_id: JobId
    unit: UnitPath
    target: str
    outcome: Outcome
    code: str = ""
    message: str = ""
    source_version: str = ""
    """The version of the source, as it was built; empty: not known."""
    replaced_version: str = ""
    """The version that was published before; empty: none, or the job is not published."""
    notes: tuple[str, ...] = ()
    """What a person should know of a job that succeeded: a version that goes down, packages that are not published."""
    artifacts: tuple[Artifact, ...] = ()
    log: Artifact | None = None


class RepositoryState(LenientModel):
    """A published repository. `url` is the address for apt."""

    repository: RepositoryName
    snapshot: str
    url: str
    removed: tuple[str, ...] = ()
    """Packages that left the repository with builds of this request, as `name version`."""


class Summary(LenientModel):
    """Counts of the jobs of a request."""

    built: int = 0
    """Jobs with outcome `success`."""
    reused: int = 0
    """Jobs that were not built because their input key was built before."""
    unchanged: int = 0
    """Drawn-in jobs that were not built because their inputs did not change."""
    saved: float = 0.0
    """Seconds that the last builds of the reused and unchanged jobs took."""


class RequestFinished(Payload):
    """A request has ended, and everything that this event names can be fetched, or is held back (`held`).

    A file with the sha256 `D` is at `<objects_url>/D`."""

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
    left_out: int = 0
    """The number of jobs that are not in `jobs`, because the message would be too large. Failed jobs are listed first;
    cb-info has all of them."""
    summary: Summary = Summary()
    repositories: tuple[RepositoryState, ...] = ()
    held: tuple[HeldBuild, ...] = ()
    """Builds of the request whose packages are not in these repositories yet, and why; a later build publishes them."""
    more_held: int = 0
    """Further builds that are held and not listed."""
    objects_url: str = ""
    accepted_at: float = 0.0
    finished_at: float
