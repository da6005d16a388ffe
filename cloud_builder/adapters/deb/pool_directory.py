"""Adds packages and sources to the pool of a repository, and makes the stanza of each for the indices.

A stanza is made once: it is kept in memory, and read from the live indices after a start.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cloud_builder.files.durable import sync_directory
from cloud_builder.model.artifact import Artifact
from cloud_builder.model.repository import SnapshotListing
from cloud_builder.planning.publish import apt_index
from cloud_builder.ports.store import ObjectStore

from . import binary_package, source_package
from .snapshots import Snapshots


class PoolDirectory:
    """The pools of all repositories. A path that contains a digest has the same stanza in each of them."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._stanzas: dict[str, str] = {}
        """By the path of a package, or by the directory of a source."""

    def stanza(self, path: str) -> str | None:
        return self._stanzas.get(path)

    def index(self, paths: Iterable[str]) -> str:
        """Returns an index of packages or sources that were added."""
        return apt_index.index(self._stanzas[path] for path in paths)

    def restore(self, snapshots: Snapshots) -> None:
        """Reads the stanzas of the live snapshot."""
        live = snapshots.file(snapshots.live(), "dists")
        for index in (*live.rglob("Packages"), *live.rglob("Sources")):
            self._stanzas.update(apt_index.stanzas(index.name, index.read_text()))

    def remove(self, files: Iterable[str]) -> None:
        """Drops the stanzas of files that no snapshot has any longer."""
        for file in files:
            self._stanzas.pop(file, None)
            self._stanzas.pop(file.rpartition("/")[0], None)

    def add(self, snapshots: Snapshots, listing: SnapshotListing) -> None:
        """Adds the files of a listing to the pool of its repository, durably."""
        changed: set[Path] = set()
        for artifact in {a.sha256 + a.name: a for a in listing.binaries}.values():
            path = apt_index.pool_path(artifact)
            changed |= self._add_file(snapshots, artifact, path)
            if path not in self._stanzas:
                self.stanza_of(artifact, snapshots.path / path)
        for source in listing.sources:
            directory = apt_index.source_path(source)
            for artifact in source.files:
                changed |= self._add_file(snapshots, artifact, f"{directory}/{artifact.name}")
            if directory not in self._stanzas:
                name = source.files[0].name
                dsc = source_package.read(snapshots.path / directory / name)
                self._stanzas[directory] = source_package.sources_entry(dsc, name, directory)
        for directory_path in changed:
            sync_directory(directory_path)

    def stanza_of(self, artifact: Artifact, file: Path) -> str:
        """Makes the stanza of a package from its file."""
        path, size = apt_index.pool_path(artifact), file.stat().st_size
        stanza = binary_package.packages_entry(binary_package.read(file), path, size, artifact.sha256)
        self._stanzas[path] = stanza
        return stanza

    def _add_file(self, snapshots: Snapshots, artifact: Artifact, path: str) -> set[Path]:
        """Adds a file if it is missing; returns the directories that have a new entry."""
        file = snapshots.path / path
        if file.exists():
            return set()
        file.parent.mkdir(parents=True, exist_ok=True)
        self._store.fetch(artifact.sha256, file)
        return {file.parent, file.parent.parent, snapshots.path / "pool"}
