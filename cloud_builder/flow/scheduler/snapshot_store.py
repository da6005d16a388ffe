"""Stores source snapshots as they were announced, part by part, in a collection that is cached in memory.

A part is written once for each collection that it belongs to, and read only after a restart or a rollback.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cloud_builder.model.events import SourceRevised
from cloud_builder.model.frozen import CachedJson
from cloud_builder.model.ids import SourceName
from cloud_builder.planning.graph.graph import Origin, SourceSnapshot
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

Parts = dict[int, SourceRevised]
"""The parts of one snapshot, by their number."""


class SourceSnapshotStore:
    """At most one snapshot of each source, complete or not. Keys: `<source>#<part>`."""

    def __init__(self, collection: str) -> None:
        self._collection = collection
        self._parts: dict[SourceName, Parts] = {}

    def parts(self, documents: Documents, source: SourceName) -> Parts:
        if source not in self._parts:
            bodies = documents.find(self._collection, parent=source)
            parts = [SourceRevised.model_validate(body) for _, body in bodies]
            self._parts[source] = {part.part: part for part in parts}
        return self._parts[source]

    def add(self, work: UnitOfWork, part: SourceRevised) -> None:
        self.parts(work.documents, part.source)[part.part] = part
        key = _key(part.source, part.part)
        work.documents.put(self._collection, key, CachedJson(part), parent=part.source, rank=part.part)

    def replace(self, work: UnitOfWork, source: SourceName, parts: Iterable[SourceRevised] = ()) -> None:
        """Replaces a source's snapshot by these parts; without parts, removes it."""
        for number in self.parts(work.documents, source):
            work.documents.delete(self._collection, _key(source, number))
        self._parts[source] = {}
        for part in parts:
            self.add(work, part)

    def load(self, documents: Documents) -> Mapping[SourceName, Parts]:
        """Returns the snapshots of all sources, sorted by source."""
        self._parts = {}
        for _, body in documents.find(self._collection):
            part = SourceRevised.model_validate(body)
            self._parts.setdefault(part.source, {})[part.part] = part
        return dict(sorted(self._parts.items()))


def snapshot_of(parts: Parts) -> SourceSnapshot:
    """Returns the source snapshot that consists of these parts, which are all parts of one commit."""
    first = next(iter(parts.values()))
    units = [unit for number in sorted(parts) for unit in parts[number].units]
    return SourceSnapshot(first.source, Origin(first.url, first.revision, first.rebuild_suffix), units)


def _key(source: SourceName, part: int) -> str:
    return f"{source}#{part}"
