"""The units of all sources as they are now, and the graph over them.

Announced snapshots come in, part by part; the last complete one of each followed branch is kept, and beside it the last
one that a request named. The graph is made when somebody asks for it, from the one before wherever that is quicker. All
of it comes back from the documents after a restart or a rollback.
"""

from __future__ import annotations

from cloud_builder.errors import Rejected
from cloud_builder.model.events import RequestAccepted, SourceRevised
from cloud_builder.model.ids import SourceName, UnitPath
from cloud_builder.planning.graph.graph import Graph, SourceSnapshot, build_graph
from cloud_builder.planning.graph.incremental import update_source
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

from .snapshot_store import SourceSnapshotStore, snapshot_of

SNAPSHOT_MISSING = "snapshot-missing"


class SourceCatalog:
    """In memory what the documents say."""

    def __init__(self) -> None:
        self._branches, self._aside = SourceSnapshotStore("snapshots"), SourceSnapshotStore("snapshots-aside")
        self._incomplete = SourceSnapshotStore("snapshots-arriving")
        """Not whole."""
        self._heads: dict[SourceName, SourceSnapshot] | None = None
        self._graph: Graph | None = None
        self._paths_cache: dict[SourceName, tuple[SourceSnapshot, frozenset[UnitPath]]] = {}
        self._pending: set[SourceName] = set()
        """Whose units the graph does not have yet."""

    def add_part(self, work: UnitOfWork, event: SourceRevised) -> set[UnitPath]:
        """A snapshot counts once all of its parts are here; until then the one before does. Returns the units that the
        followed branch has no more."""
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
        (self._branches if event.followed else self._aside).replace(work, event.source, parts.values())
        if not event.followed or self._heads is None:
            return set()
        before = self._paths(event.source)
        self._heads[event.source] = snapshot_of(parts)
        self._pending.add(event.source)
        return set(before - self._paths(event.source))

    def has_unit(self, state: Documents, source: SourceName, unit: UnitPath) -> bool:
        """Whether the followed branch has the unit now. True where nothing is followed: nothing says otherwise."""
        self._load(state)
        assert self._heads is not None
        return source not in self._heads or unit in self._paths(source)

    def targets(self, state: Documents) -> set[str]:
        """The names of all targets that units of followed branches have."""
        self._load(state)
        assert self._heads is not None
        snapshots = self._heads.values()
        return {target.name for snapshot in snapshots for unit in snapshot.units for target in unit.targets}

    def forget(self, work: UnitOfWork, source: SourceName) -> None:
        """It is not followed any more: nothing of it is drawn into requests of others."""
        for shelf in (self._branches, self._aside, self._incomplete):
            shelf.replace(work, source)
        self._heads = self._graph = None

    def graph(self, state: Documents, request: RequestAccepted) -> Graph:
        """All sources as they are followed, and the request's own at its commit.

        Raises Rejected(code=SNAPSHOT_MISSING) when that was not announced."""
        self._load(state)
        assert self._heads is not None
        own = self._heads.get(request.source)
        if own is not None and own.origin.revision == request.revision:
            return self._current()
        parts = self._aside.parts(state, request.source)
        if not any(part.revision == request.revision for part in parts.values()):
            raise Rejected(
                f"the units of {request.source} at {request.revision[:10]} were not announced",
                code=SNAPSHOT_MISSING,
                hint="send the request again; when it happens again, restart cb-request",
            )
        aside = snapshot_of(parts)
        return update_source(self._current(), aside) or build_graph({**self._heads, request.source: aside}.values())

    def _paths(self, source: SourceName) -> frozenset[UnitPath]:
        """Of the units of a followed branch."""
        snapshot = self._heads and self._heads.get(source)
        if not snapshot:
            return frozenset()
        known = self._paths_cache.get(source)
        if known is None or known[0] is not snapshot:
            known = self._paths_cache[source] = (snapshot, frozenset(unit.path for unit in snapshot.units))
        return known[1]

    def _current(self) -> Graph:
        assert self._heads is not None
        for source in sorted(self._pending) if self._graph is not None else ():
            self._graph = self._graph and update_source(self._graph, self._heads[source])
        self._pending.clear()
        if self._graph is None:
            self._graph = build_graph(self._heads.values())
        return self._graph

    def _load(self, state: Documents) -> None:
        if self._heads is None:
            loaded = self._branches.load(state)
            self._heads = {source: snapshot_of(parts) for source, parts in loaded.items()}
