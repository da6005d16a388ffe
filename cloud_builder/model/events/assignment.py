"""Assignments to runners (cb.assignment), and runners in quarantine (cb.eligibility)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from cloud_builder.model.artifact import Artifact
from cloud_builder.model.ids import (
    Digest,
    InputKey,
    JobId,
    RequestId,
    Revision,
    RunnerId,
    SourceName,
    TreeId,
    UnitPath,
)
from cloud_builder.model.limits import Limits
from cloud_builder.model.outcome import Kind
from cloud_builder.model.rebuild import Rebuild
from cloud_builder.model.unit import Target

from .payload import Payload


class JobAssigned(Payload):
    """Gives an attempt to a runner, with all that the runner needs to build."""

    type: ClassVar[str] = "job.assigned"

    job_id: JobId
    attempt: int = Field(ge=1)
    runner_id: RunnerId
    request_id: RequestId
    source: SourceName
    url: str
    revision: Revision
    unit: UnitPath
    directory: str
    name: str
    kind: Kind
    tree: TreeId
    target: Target
    input_key: InputKey
    buildroot: Digest | None = None
    """The sha256 of the unit's build_root.kiwi."""
    repositories: Digest | None = None
    """The state of the package repositories that the build root is made from (see `source.revised`)."""
    profiles: tuple[str, ...] = ()
    """Build profiles (deb: DEB_BUILD_PROFILES)."""
    build_options: tuple[str, ...] = ()
    """Build options (deb: DEB_BUILD_OPTIONS)."""
    rebuild: Rebuild | None = None
    """The rebuild number to build this source version with; None or another source version: as it is."""
    dependencies: tuple[Artifact, ...] = ()
    """The exact artifacts of this mesh that the build uses. They are in the object store."""
    limits: Limits = Limits()
    lease: float = 12.0
    """Seconds without a connection to the broker after which the runner stops the attempt by itself."""


class RunnerQuarantined(Payload):
    """A runner is in quarantine: no work before `until`, then one probe job at a time until one succeeds.

    With an empty `reason` the quarantine has ended."""

    type: ClassVar[str] = "runner.quarantined"

    runner_id: RunnerId
    reason: str = ""
    until: float = 0.0
    at: float


class JobRevoked(Payload):
    """Makes a runner stop an attempt. The result of the attempt no longer counts."""

    type: ClassVar[str] = "job.revoked"

    job_id: JobId
    attempt: int
    runner_id: RunnerId
    reason: str
