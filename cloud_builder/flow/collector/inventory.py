"""What each followed source has at the tip of its branch: the units and targets that may be in its repositories.

A revision counts when all its parts have come. A unit with a broken manifest is still there: a typing error does not
take packages away from the people who use them.
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
    """`slots` of healthy units; `broken`: units whose targets are not known now. `parts` that have come so far."""

    revision: Revision
    parts: int = 0
    slots: frozenset[UnitTarget] = frozenset()
    unreadable_units: frozenset[UnitPath] = frozenset()

    def has(self, slot: UnitTarget) -> bool:
        return slot in self.slots or slot[0] in self.unreadable_units


class SourceInventory:
    """The last whole revision of each source, and the one whose parts are coming in."""

    def __init__(self, state: Documents) -> None:
        self._whole = {SourceName(key): HeadUnits.model_validate(body) for key, body in state.find(BRANCH_HEAD)}
        self._coming = {SourceName(key): HeadUnits.model_validate(body) for key, body in state.find(INCOMPLETE_HEAD)}

    def has(self, source: SourceName, slot: UnitTarget) -> bool:
        """True also for a source that nothing was told of: what is unknown is not gone."""
        tip = self._whole.get(source)
        return tip is None or tip.has(slot)

    def apply_part(self, work: UnitOfWork, event: SourceRevised) -> bool:
        """Takes in a part; True when the revision is whole with it. Parts come in order."""
        before = HeadUnits(revision=event.revision) if event.part == 0 else self._coming.get(event.source)
        if before is None or (before.revision, before.parts) != (event.revision, event.part):
            return False
        tip = HeadUnits(
            revision=event.revision,
            parts=event.part + 1,
            slots=before.slots | {(unit.path, target.name) for unit in event.units for target in unit.targets},
            unreadable_units=before.unreadable_units | {UnitPath(problem.path) for problem in event.problems},
        )
        if tip.parts < event.parts:
            self._coming[event.source] = tip
            work.documents.put(INCOMPLETE_HEAD, event.source, tip.model_dump(mode="json"))
            return False
        self._coming.pop(event.source, None)
        work.documents.delete(INCOMPLETE_HEAD, event.source)
        self._whole[event.source] = tip
        work.documents.put(BRANCH_HEAD, event.source, tip.model_dump(mode="json"))
        return True
