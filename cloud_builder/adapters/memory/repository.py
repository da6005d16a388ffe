"""The port `RepositoryWriter` in memory: keeps every published listing."""

from __future__ import annotations

import hashlib

from cloud_builder.errors import Permanent
from cloud_builder.model.artifact import Artifact, BinaryPackage
from cloud_builder.model.ids import RepositoryName
from cloud_builder.model.repository import SnapshotListing
from cloud_builder.ports.store import ObjectStore


class MemoryRepositories:
    """Implements ports.repository.RepositoryWriter. A package starts with `<name> <version> <architecture>`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.snapshots: dict[RepositoryName, dict[str, SnapshotListing]] = {}
        self._live: dict[RepositoryName, str] = {}

    def inspect(self, artifact: Artifact) -> BinaryPackage:
        with self._store.open(artifact.sha256) as file:
            words = file.read().decode().split()
        if len(words) < 3:
            raise Permanent(f"{artifact.name} is no package", code="not-a-deb", hint="Build it again.")
        return BinaryPackage(name=words[0], version=words[1], architecture=words[2])

    def publish(self, listing: SnapshotListing, *, at: float, after: str = "") -> str:
        for listed in listing.packages.values():
            for artifact in listed:
                self._store.verify(artifact.sha256)
        text = repr((listing.suite, [(arch, [a.sha256 for a in listing.packages[arch]]) for arch in listing.packages]))
        digest, live = hashlib.sha256(text.encode()).hexdigest()[:12], self.live(listing.repository)
        if live.partition("-")[2] != digest:
            numbers = (int(snapshot.partition("-")[0] or 0) for snapshot in (live, after))
            live = f"{max(numbers) + 1:06d}-{digest}"
        self.snapshots.setdefault(listing.repository, {})[live] = listing
        self._live[listing.repository] = live
        return live

    def live(self, repository: RepositoryName) -> str:
        return self._live.get(repository, "")
