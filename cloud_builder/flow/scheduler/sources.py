"""The source catalog: the units of all followed sources as they are now, and the dependency graph over them.

Input: the parts of announced source snapshots. Stored are the newest complete snapshot of each followed branch, and the
newest one that a request named. Output: the graph for a request; it is made on demand, from the graph before where that
is faster.
"""

from __future__ import annotations

from cloud_builder.errors import Rejected
from cloud_builder.model.events import RequestAccepted, SourceRevised
from cloud_builder.model.ids import SourceName, TreeId, UnitPath
from cloud_builder.planning.graph.build import build_graph
from cloud_builder.planning.graph.graph import Graph, Node, SourceSnapshot
from cloud_builder.planning.graph.incremental import update_source
from cloud_builder.planning.graph.nearest_provider import with_nearest
from cloud_builder.planning.records import JobRecord
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

from .snapshot_store import SourceSnapshotStore, snapshot_of

SNAPSHOT_MISSING = "snapshot-missing"


class SourceCatalog:
    """A cache of the documents, filled when it is first used."""

    def __init__(self) -> None:
        self._branches = SourceSnapshotStore("source-snapshots")
        """The newest snapshot of each followed branch."""
        self._by_request = SourceSnapshotStore("source-snapshots-by-request")
        """The newest snapshot of each source that a request named."""
        self._incomplete = SourceSnapshotStore("source-snapshots-incomplete")
        """Snapshots of which parts are missing."""
        self._heads: dict[SourceName, SourceSnapshot] | None = None
        self._graph: Graph | None = None
        self._paths_cache: dict[SourceName, tuple[SourceSnapshot, frozenset[UnitPath]]] = {}
        self._pending: set[SourceName] = set()
        """Sources whose newest units are not in the graph yet."""

    def add_part(self, work: UnitOfWork, event: SourceRevised) -> set[UnitPath]:
        """Adds a part of a snapshot, and returns the units that the followed branch no longer has.

        A snapshot counts once all its parts are here; until then the one before it counts."""
        self._load(work.documents)
        if event.part == 0:
            self._incomplete.replace(work, event.source)
        parts = {event.part: event}
        if event.parts > 1:
            if event.part < event.parts - 1:
                self._incomplete.add(work, event)
                return set()
            parts |= self._incomplete.parts(work.documents, event.source)
            self._incomplete.replace(work, event.source)
        if len(parts) < event.parts or any(part.revision != event.revision for part in parts.values()):
            return set()
        store = self._branches if event.followed else self._by_request
        store.replace(work, event.source, parts.values())
        if not event.followed or self._heads is None:
            return set()
        before = self._paths(event.source)
        self._heads[event.source] = snapshot_of(parts)
        self._pending.add(event.source)
        return set(before - self._paths(event.source))

    def has_unit(self, documents: Documents, source: SourceName, unit: UnitPath) -> bool:
        """True if the followed branch has the unit now. Also true for a source that is not followed."""
        self._load(documents)
        assert self._heads is not None
        return source not in self._heads or unit in self._paths(source)

    def head_trees(self, documents: Documents, source: SourceName) -> dict[UnitPath, TreeId]:
        """Returns the units at the head of a followed branch, each with its git tree."""
        self._load(documents)
        assert self._heads is not None
        head = self._heads.get(source)
        return {unit.path: unit.tree for unit in head.units} if head is not None else {}

    def targets(self, documents: Documents) -> set[str]:
        """Returns the names of all targets of units of followed branches."""
        self._load(documents)
        assert self._heads is not None
        snapshots = self._heads.values()
        return {target.name for snapshot in snapshots for unit in snapshot.units for target in unit.targets}

    def remove(self, work: UnitOfWork, source: SourceName) -> None:
        """Removes a source that is no longer followed. Its units are no longer added to requests of other sources."""
        for store in (self._branches, self._by_request, self._incomplete):
            store.replace(work, source)
        self._heads = self._graph = None

    def graph(self, documents: Documents, request: RequestAccepted) -> Graph:
        """Returns the graph over all followed sources, with the request's own source at the request's commit.

        Raises Rejected(code=SNAPSHOT_MISSING) when no snapshot of that commit was announced."""
        self._load(documents)
        assert self._heads is not None
        head = self._heads.get(request.source)
        if head is not None and head.origin.revision == request.revision:
            return self._current()
        parts = self._by_request.parts(documents, request.source)
        if not any(part.revision == request.revision for part in parts.values()):
            raise Rejected(
                f"the units of {request.source} at {request.revision[:10]} were not announced",
                code=SNAPSHOT_MISSING,
                hint="send the request again; when it happens again, restart cb-request",
            )
        snapshot = snapshot_of(parts)
        updated = update_source(self._current(), snapshot)
        return updated or build_graph({**self._heads, request.source: snapshot}.values())

    def with_nearest(self, documents: Documents, job: JobRecord, message: str) -> str:
        """Returns the message of a job that could not get its build dependencies, with what the units of the followed
        branches have instead."""
        self._load(documents)
        graph = self._current()
        number = graph.number.get(Node(job.source, job.unit, job.target.name))
        return message if number is None else with_nearest(message, graph, number)

    def _paths(self, source: SourceName) -> frozenset[UnitPath]:
        """Returns the units of a followed branch."""
        snapshot = self._heads and self._heads.get(source)
        if not snapshot:
            return frozenset()
        cached = self._paths_cache.get(source)
        if cached is None or cached[0] is not snapshot:
            cached = self._paths_cache[source] = (snapshot, frozenset(unit.path for unit in snapshot.units))
        return cached[1]

    def _current(self) -> Graph:
        """Returns the graph over all followed sources, brought up to date."""
        assert self._heads is not None
        for source in sorted(self._pending) if self._graph is not None else ():
            self._graph = self._graph and update_source(self._graph, self._heads[source])
        self._pending.clear()
        if self._graph is None:
            self._graph = build_graph(self._heads.values())
        return self._graph

    def _load(self, documents: Documents) -> None:
        if self._heads is None:
            loaded = self._branches.load(documents)
            self._heads = {source: snapshot_of(parts) for source, parts in loaded.items()}
