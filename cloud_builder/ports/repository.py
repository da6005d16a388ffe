"""The port to package repositories that people install from: immutable snapshots, and a pointer to the live one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cloud_builder.model.artifact import Artifact, BinaryPackage, SourcePackage
from cloud_builder.model.ids import RepositoryName
from cloud_builder.model.repository import SnapshotListing


class RepositoryWriter(Protocol):
    """A writer of repositories. Called from one thread.

    A client that reads during a change finds every file that its index names. Raises Retryable if the disk is full;
    errors of the object store for a missing or damaged artifact pass through."""

    def inspect(self, artifact: Artifact) -> BinaryPackage:
        """Returns the metadata in the stored file. Raises Permanent(code="not-a-deb") if it is no package."""

    def inspect_source(self, files: Sequence[Artifact]) -> SourcePackage:
        """Returns the source package of these files: its description, as it is stored, and what the description lists.

        Raises Permanent(code="not-a-dsc") if they are not one complete source package."""

    def publish(self, listing: SnapshotListing, *, at: float, after: str = "") -> str:
        """Makes the listing live and returns its snapshot: `<number>-<digest of the content>`.

        If the live snapshot has the same content, nothing is written and its name is returned. Numbers only grow,
        and are greater than that of `after`. After a crash at any point either the old or the new snapshot is live
        and complete. `at`: seconds since the epoch."""

    def live(self, repository: RepositoryName) -> str:
        """Returns the snapshot that readers see; empty: none."""
