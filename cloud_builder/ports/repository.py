"""The port to package repositories that people install from: immutable snapshots, and one pointer to the live one."""

from __future__ import annotations

from typing import Protocol

from cloud_builder.model.artifact import Artifact, BinaryPackage
from cloud_builder.model.ids import RepositoryName
from cloud_builder.model.repository import SnapshotListing


class RepositoryWriter(Protocol):
    """Writes repositories. Called from one thread.

    Whoever reads while it writes finds every file that what he read before names. Raises Retryable when there is no
    room, and passes on what the object store raises for a missing or damaged artifact."""

    def inspect(self, artifact: Artifact) -> BinaryPackage:
        """What the stored file says of itself. Permanent(code="not-a-deb") when it is no package."""

    def publish(self, listing: SnapshotListing, *, at: float, after: str = "") -> str:
        """Makes the listing live and returns its snapshot: `<number>-<digest of the content>`.

        The same content as what is live is the live snapshot: nothing is written. Numbers only grow, and beyond that
        of `after`. Killed at any point, the old or the new snapshot is live, whole. `at`: seconds since the epoch."""

    def live(self, repository: RepositoryName) -> str:
        """The snapshot that readers see; empty: none."""
