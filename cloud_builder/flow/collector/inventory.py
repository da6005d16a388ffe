"""Keeps the units and targets at the head of each followed source: only these may be in its repositories.

A commit counts when all its parts have come. A broken unit counts as present: a typing error does not remove packages
that people use.
"""

from __future__ import annotations

from cloud_builder.model.events import SourceRevised
from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import Revision, SourceName, UnitPath
from cloud_builder.model.repository import UnitTarget
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

BRANCH_HEAD = "branch-head"
"""Collection: by source, the units of the newest complete commit of its followed branch."""
INCOMPLETE_HEAD = "incomplete-head"
"""Collection: by source, the units of a newer commit of which parts are missing."""


class HeadUnits(LenientModel):
    """The units at the head of a source.

    parts              how many parts of the announcement have come
    unit_targets       of the units without a problem
    unreadable_units   units with a problem, whose targets are not known
    """

    revision: Revision
    parts: int = 0
    unit_targets: frozenset[UnitTarget] = frozenset()
    unreadable_units: frozenset[UnitPath] = frozenset()

    def has(self, unit_target: UnitTarget) -> bool:
        return unit_target in self.unit_targets or unit_target[0] in self.unreadable_units


class SourceInventory:
    """The newest complete commit of each source, and a newer one of which parts are missing."""

    def __init__(self, state: Documents) -> None:
        self._complete = {SourceName(key): HeadUnits.model_validate(body) for key, body in state.find(BRANCH_HEAD)}
        self._incomplete = {
            SourceName(key): HeadUnits.model_validate(body) for key, body in state.find(INCOMPLETE_HEAD)
        }

    def has(self, source: SourceName, unit_target: UnitTarget) -> bool:
        """True also when no commit of the source has come: its units are not known to be removed."""
        head = self._complete.get(source)
        return head is None or head.has(unit_target)

    def apply_part(self, work: UnitOfWork, event: SourceRevised) -> bool:
        """Applies a part of an announcement, in order; returns True when the commit is complete with it."""
        before = HeadUnits(revision=event.revision) if event.part == 0 else self._incomplete.get(event.source)
        if before is None or (before.revision, before.parts) != (event.revision, event.part):
            return False
        head = HeadUnits(
            revision=event.revision,
            parts=event.part + 1,
            unit_targets=before.unit_targets
            | {(unit.path, target.name) for unit in event.units for target in unit.targets},
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
        work.documents.put(BRANCH_HEAD, event.source, head.model_dump(mode="json"))
        return True
