"""Keeps the units and targets at the head of each followed source: only these may be in its repositories.

A commit counts when all its parts have come. A broken unit counts as present: a typing error does not remove packages
that people use.
"""

from __future__ import annotations

from collections.abc import Iterator

from cloud_builder.model.events import SourceRevised
from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import Revision, SourceName, TreeId, UnitPath
from cloud_builder.model.repository import UnitTarget
from cloud_builder.model.unit import Target
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

BRANCH_HEAD = "branch-head"
"""Collection: by source, the units of the newest complete commit of its followed branch."""
INCOMPLETE_HEAD = "incomplete-head"
"""Collection: by source, the units of a newer commit of which parts are missing."""


class HeadUnit(LenientModel):
    """A unit: its tree, the packages that it is to make, and its targets, as far as they are known of a broken unit."""

    tree: TreeId
    names: tuple[str, ...]
    targets: tuple[Target, ...]


class HeadUnits(LenientModel):
    """The units at the head of a source.

    parts              how many parts of the announcement have come
    units              all units
    unreadable_units   units with a problem, whose targets may not be known
    """

    revision: Revision
    parts: int = 0
    units: dict[UnitPath, HeadUnit] = {}
    unreadable_units: frozenset[UnitPath] = frozenset()

    def has(self, unit_target: UnitTarget) -> bool:
        path, target = unit_target
        unit = self.units.get(path)
        return path in self.unreadable_units or (unit is not None and any(t.name == target for t in unit.targets))


class SourceInventory:
    """The newest complete commit of each source, and a newer one of which parts are missing."""

    def __init__(self, state: Documents) -> None:
        self._complete: dict[SourceName, HeadUnits] = {}
        self._makers: dict[SourceName, dict[str, list[UnitPath]]] = {}
        for key, body in state.find(BRANCH_HEAD):
            self._complete[SourceName(key)] = HeadUnits.model_validate(body)
        self._incomplete = {
            SourceName(key): HeadUnits.model_validate(body) for key, body in state.find(INCOMPLETE_HEAD)
        }

    def has(self, source: SourceName, unit_target: UnitTarget) -> bool:
        """True also when no commit of the source has come: its units are not known to be removed."""
        head = self._complete.get(source)
        return head is None or head.has(unit_target)

    def tree(self, source: SourceName, unit: UnitPath) -> TreeId | None:
        """Returns the tree of a unit; None: it is not at the head."""
        head = self._complete.get(source)
        found = head.units.get(unit) if head is not None else None
        return found.tree if found is not None else None

    def unreadable_units(self, source: SourceName) -> frozenset[UnitPath]:
        head = self._complete.get(source)
        return head.unreadable_units if head is not None else frozenset()

    def makers(self, source: SourceName, package: str) -> Iterator[tuple[UnitPath, Target]]:
        """Yields the units and targets that are to make a package."""
        head = self._complete.get(source)
        if head is None:
            return
        if source not in self._makers:
            makers = self._makers[source] = {}
            for path, unit in head.units.items():
                for name in unit.names:
                    makers.setdefault(name, []).append(path)
        for path in self._makers[source].get(package, ()):
            for target in head.units[path].targets:
                yield path, target

    def apply_part(self, work: UnitOfWork, event: SourceRevised) -> bool:
        """Applies a part of an announcement, in order; returns True when the commit is complete with it."""
        before = HeadUnits(revision=event.revision) if event.part == 0 else self._incomplete.get(event.source)
        if before is None or (before.revision, before.parts) != (event.revision, event.part):
            return False
        head = HeadUnits(
            revision=event.revision,
            parts=event.part + 1,
            units=before.units
            | {unit.path: HeadUnit(tree=unit.tree, names=unit.provides, targets=unit.targets) for unit in event.units},
            unreadable_units=before.unreadable_units
            | {unit.path for unit in event.units if unit.problems}
            | {UnitPath(problem.path) for problem in event.problems},
        )
        if head.parts < event.parts:
            self._incomplete[event.source] = head
            work.documents.put(INCOMPLETE_HEAD, event.source, head.model_dump(mode="json"))
            return False
        self._incomplete.pop(event.source, None)
        work.documents.delete(INCOMPLETE_HEAD, event.source)
        self._complete[event.source] = head
        self._makers.pop(event.source, None)
        work.documents.put(BRANCH_HEAD, event.source, head.model_dump(mode="json"))
        return True
