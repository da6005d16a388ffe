"""The port `RepositoryWriter` in memory: keeps every published listing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cloud_builder.errors import Permanent
from cloud_builder.model.artifact import Artifact, ArtifactKind, BinaryPackage, SourcePackage
from cloud_builder.model.ids import RepositoryName
from cloud_builder.model.repository import SnapshotListing
from cloud_builder.ports.store import ObjectStore


class MemoryRepositories:
    """Implements ports.repository.RepositoryWriter.

    A package starts with `<name> <version> <architecture>`; further lines are fields of BinaryPackage, as
    `<field>: <value>`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.snapshots: dict[RepositoryName, dict[str, SnapshotListing]] = {}
        self._live: dict[RepositoryName, str] = {}

    def inspect(self, artifact: Artifact) -> BinaryPackage:
        with self._store.open(artifact.sha256) as file:
            first, *lines = file.read().decode().splitlines()
        words, fields = first.split(), dict(line.split(": ", 1) for line in lines)
        if len(words) < 3:
            raise Permanent(f"{artifact.name} is no package", code="not-a-deb", hint="Build it again.")
        return BinaryPackage(name=words[0], version=words[1], architecture=words[2], **fields)

    def inspect_source(self, files: Sequence[Artifact]) -> SourcePackage:
        """A description has the lines `<name> <version>` and `<sha256> <file>`."""
        (description,) = (file for file in files if file.kind is ArtifactKind.DSC)
        with self._store.open(description.sha256) as file:
            (name, version), *listed = [line.split() for line in file.read().decode().splitlines()]
        others = [file for file in files if file is not description]
        if sorted(listed) != sorted([file.sha256, file.name] for file in others):
            raise Permanent(f"{description.name} lists other files", code="not-a-dsc", hint="Build it again.")
        return SourcePackage(name=name, version=version, files=(description, *others))

    def publish(self, listing: SnapshotListing, *, at: float, after: str = "") -> str:
        for artifact in (*listing.binaries, *(file for source in listing.sources for file in source.files)):
            self._store.verify(artifact.sha256)
        lists = (listing.packages, listing.debug_packages, listing.installer_packages)
        listed = [[(arch, [a.sha256 for a in packages[arch]]) for arch in packages] for packages in lists]
        text = repr((listing.suite, listed, [source.files[0].sha256 for source in listing.sources]))
        digest, live = hashlib.sha256(text.encode()).hexdigest()[:12], self.live(listing.repository)
        if live.partition("-")[2] != digest:
            numbers = (int(snapshot.partition("-")[0] or 0) for snapshot in (live, after))
            live = f"{max(numbers) + 1:06d}-{digest}"
        self.snapshots.setdefault(listing.repository, {})[live] = listing
        self._live[listing.repository] = live
        return live

    def live(self, repository: RepositoryName) -> str:
        return self._live.get(repository, "")
