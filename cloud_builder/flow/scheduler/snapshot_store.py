"""Snapshots of sources as their parts were announced: in memory what a collection of the documents says.

A part is written once for each shelf it comes to, and read from the documents only after a restart or a rollback.
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
"""Of one snapshot, by their number."""


class SourceSnapshotStore:
    """At most one snapshot of each source, whole or not, in a collection under `<source>#<part>`."""

    def __init__(self, collection: str) -> None:
        self._collection = collection
        self._known: dict[SourceName, Parts] = {}

    def parts(self, state: Documents, source: SourceName) -> Parts:
        if source not in self._known:
            found = [SourceRevised.model_validate(body) for _, body in state.find(self._collection, parent=source)]
            self._known[source] = {part.part: part for part in found}
        return self._known[source]

    def add(self, work: UnitOfWork, part: SourceRevised) -> None:
        self.parts(work.documents, part.source)[part.part] = part
        key = _key(part.source, part.part)
        work.documents.put(self._collection, key, CachedJson(part), parent=part.source, rank=part.part)

    def replace(self, work: UnitOfWork, source: SourceName, parts: Iterable[SourceRevised] = ()) -> None:
        """By these, of the same source; without: it lies here no more."""
        for number in self.parts(work.documents, source):
            work.documents.delete(self._collection, _key(source, number))
        self._known[source] = {}
        for part in parts:
            self.add(work, part)

    def load(self, state: Documents) -> Mapping[SourceName, Parts]:
        """All that lies here, in the order of the names."""
        self._known = {}
        for _, body in state.find(self._collection):
            part = SourceRevised.model_validate(body)
            self._known.setdefault(part.source, {})[part.part] = part
        return dict(sorted(self._known.items()))


def snapshot_of(parts: Parts) -> SourceSnapshot:
    """Of all parts of one commit."""
    first = next(iter(parts.values()))
    units = [unit for number in sorted(parts) for unit in parts[number].units]
    return SourceSnapshot(first.source, Origin(first.url, first.revision), units)


def _key(source: SourceName, part: int) -> str:
    return f"{source}#{part}"
