"""Published repositories (cb.repository)."""

from __future__ import annotations

from typing import ClassVar

from cloud_builder.model.ids import (
    JobId,
    RepositoryName,
)
from cloud_builder.model.repository import HeldBuild, KeptPackage

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
    removed: tuple[str, ...] = ()
    """Packages that the snapshot before listed and this one does not, as `name version`; at most 200."""
    held: tuple[HeldBuild, ...] = ()
    """Builds that are not published yet, because published packages could not be installed beside them."""
    kept: tuple[KeptPackage, ...] = ()
    """Packages that no unit makes any longer, and that stay because published packages need them."""
    more_held: int = 0
    """Further builds that are held and not listed."""
    more_kept: int = 0
    at: float


class PublishFailed(Payload):
    """The artifacts of these jobs cannot be published; their requests end in `error` with this message."""

    type: ClassVar[str] = "publish.failed"

    repository: RepositoryName
    jobs: tuple[JobId, ...]
    message: str
    hint: str = ""
    at: float
