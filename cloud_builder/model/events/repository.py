"""Published repositories (cb.repository)."""

from __future__ import annotations

from typing import ClassVar

from cloud_builder.model.ids import (
    JobId,
    RepositoryName,
)

from .payload import Payload


class RepositoryPublished(Payload):
    """A repository has a new snapshot with the artifacts of these jobs.

    If `previous` equals `snapshot`, the repository had these artifacts before."""

    type: ClassVar[str] = "repository.published"

    repository: RepositoryName
    snapshot: str
    previous: str = ""
    url: str
    jobs: tuple[JobId, ...]
    packages: int = 0
    signed_by: str = ""
    """The fingerprint of the key."""
    warnings: tuple[str, ...] = ()
    """Problems for a person to check, e.g. two units that make the same package."""
    at: float


class PublishFailed(Payload):
    """The artifacts of these jobs cannot be published; their requests end in `error` with this message."""

    type: ClassVar[str] = "publish.failed"

    repository: RepositoryName
    jobs: tuple[JobId, ...]
    message: str
    hint: str = ""
    at: float
