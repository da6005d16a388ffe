"""What can be installed (cb.repository)."""

from __future__ import annotations

from typing import ClassVar

from cloud_builder.model.ids import (
    JobId,
    RepositoryName,
)

from .payload import Payload


class RepositoryPublished(Payload):
    """A repository has a new snapshot, or (when `previous` equals `snapshot`) already had these jobs' artifacts."""

    type: ClassVar[str] = "repository.published"

    repository: RepositoryName
    snapshot: str
    previous: str = ""
    url: str
    jobs: tuple[JobId, ...]
    packages: int = 0
    signed_by: str = ""
    """Fingerprint of the key."""
    warnings: tuple[str, ...] = ()
    """What a person should look at, e.g. two units that make the same package."""
    at: float


class PublishFailed(Payload):
    """These jobs' artifacts cannot be published; their request ends in `error` with this message."""

    type: ClassVar[str] = "publish.failed"

    repository: RepositoryName
    jobs: tuple[JobId, ...]
    message: str
    hint: str = ""
    at: float
