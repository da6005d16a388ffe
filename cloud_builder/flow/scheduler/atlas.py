"""The units of all sources as they are now, and the graph over them.

Announced snapshots come in, part by part; the last complete one of each followed branch is kept, and beside it the last
one that a request named. The graph is made when somebody asks for it, from the one before wherever that is quicker. All
of it comes back from the documents after a restart or a rollback.
"""

from __future__ import annotations

from collections import defaultdict

from cloud_builder.errors import Rejected
from cloud_builder.model.events import RequestAccepted, SourceRevised
from cloud_builder.model.ids import SourceName, UnitPath
from cloud_builder.planning.exchange import revised
from cloud_builder.planning.graph import Graph, Origin, Snapshot, graph
from cloud_builder.ports.mesh import Work
from cloud_builder.ports.state import Documents

FOLLOWED, ASIDE, ARRIVING = "snapshots", "snapshots-aside", "snapshots-arriving"
"""Collections of `source.revised` events by `<source>#<part>`: of followed branches, named by a request, not whole."""


class Atlas:
    """In memory what the documents say."""

    def __init__(self) -> None:
        self._followed: dict[SourceName, Snapshot] | None = None
        self._graph: Graph | None = None
        self._known: dict[SourceName, tuple[Snapshot, frozenset[UnitPath]]] = {}
        self._newer: set[SourceName] = set()
        """Whose units the graph does not have yet."""

    def remember(self, work: Work, event: SourceRevised) -> set[UnitPath]:
        """A snapshot counts once all of its parts are here; until then the one before does. Returns the units that the
        followed branch has no more."""
        self._load(work.state)
        if event.part == 0:
            _forget(work, ARRIVING, event.source)
        parts = [event]
        if event.parts > 1:
            _put(work, ARRIVING, event)
            if event.part < event.parts - 1:
                return set()
            parts = _read(work.state, ARRIVING, event.source)
            _forget(work, ARRIVING, event.source)
        if len(parts) < event.parts or any(part.revision != event.revision for part in parts):
            return set()
        shelf = FOLLOWED if event.followed else ASIDE
        _forget(work, shelf, event.source)
        for part in parts:
            _put(work, shelf, part)
        if not event.followed or self._followed is None:
            return set()
        before = self._paths(event.source)
        self._followed[event.source] = _snapshot(parts)
        self._newer.add(event.source)
        return set(before - self._paths(event.source))

    def has(self, state: Documents, source: SourceName, unit: UnitPath) -> bool:
        """Whether the followed branch has the unit now. True where nothing is followed: nothing says otherwise."""
        self._load(state)
        assert self._followed is not None
        return source not in self._followed or unit in self._paths(source)

    def targets(self, state: Documents) -> set[str]:
        """The names of all targets that units of followed branches have."""
        self._load(state)
        assert self._followed is not None
        snapshots = self._followed.values()
        return {target.name for snapshot in snapshots for unit in snapshot.units for target in unit.targets}

    def forget(self, work: Work, source: SourceName) -> None:
        """It is not followed any more: nothing of it is drawn into requests of others."""
        for shelf in (FOLLOWED, ASIDE, ARRIVING):
            _forget(work, shelf, source)
        self._followed = self._graph = None

    def graph(self, state: Documents, request: RequestAccepted) -> Graph:
        """All sources as they are followed, and the request's own at its commit.

        Raises Rejected(code="snapshot-missing") when that was not announced."""
        self._load(state)
        assert self._followed is not None
        own = self._followed.get(request.source)
        if own is not None and own.origin.revision == request.revision:
            return self._current()
        parts = [part for part in _read(state, ASIDE, request.source) if part.revision == request.revision]
        if not parts:
            raise Rejected(
                f"the units of {request.source} at {request.revision[:10]} were not announced",
                code="snapshot-missing",
                hint="send the request again; when it happens again, restart cb-request",
            )
        aside = _snapshot(parts)
        return revised(self._current(), aside) or graph({**self._followed, request.source: aside}.values())

    def _paths(self, source: SourceName) -> frozenset[UnitPath]:
        """Of the units of a followed branch."""
        snapshot = self._followed and self._followed.get(source)
        if not snapshot:
            return frozenset()
        known = self._known.get(source)
        if known is None or known[0] is not snapshot:
            known = self._known[source] = (snapshot, frozenset(unit.path for unit in snapshot.units))
        return known[1]

    def _current(self) -> Graph:
        assert self._followed is not None
        for source in sorted(self._newer) if self._graph is not None else ():
            self._graph = self._graph and revised(self._graph, self._followed[source])
        self._newer.clear()
        if self._graph is None:
            self._graph = graph(self._followed.values())
        return self._graph

    def _load(self, state: Documents) -> None:
        if self._followed is None:
            parts: dict[SourceName, list[SourceRevised]] = defaultdict(list)
            for _, body in state.find(FOLLOWED):
                part = SourceRevised.model_validate(body)
                parts[part.source].append(part)
            self._followed = {source: _snapshot(found) for source, found in parts.items()}


def _snapshot(parts: list[SourceRevised]) -> Snapshot:
    units = [unit for part in sorted(parts, key=lambda each: each.part) for unit in part.units]
    return Snapshot(parts[0].source, Origin(parts[0].url, parts[0].revision), units)


def _read(state: Documents, shelf: str, source: SourceName) -> list[SourceRevised]:
    return [SourceRevised.model_validate(body) for _, body in state.find(shelf, parent=source)]


def _put(work: Work, shelf: str, event: SourceRevised) -> None:
    body = event.model_dump(mode="json")
    work.state.put(shelf, f"{event.source}#{event.part}", body, parent=event.source, rank=event.part)


def _forget(work: Work, shelf: str, source: SourceName) -> None:
    for key, _ in list(work.state.find(shelf, parent=source)):
        work.state.delete(shelf, key)
