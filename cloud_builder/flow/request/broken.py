"""Completes broken units from earlier commits: what they made and needed when they could be read last.

Input: units with problems, the tree they are in, and a function that reads one unit.
Output: the same units, with the targets, packages and relations of their last readable state.
Must not: remove a problem. A broken unit stays in the dependency graph, so that units which need its packages are not
built with packages of the same name from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from cloud_builder.errors import Rejected
from cloud_builder.model.ids import TreeId, UnitPath
from cloud_builder.model.unit import UNKNOWN_TARGET, Problem, Unit

from .tree import Tree

MAX_COMPLETED = 200
"""Broken units that are looked for in earlier commits; further ones keep what their manifests say."""

ReadUnit = Callable[[Tree, str], Unit]
"""Reads the unit in a directory of a tree; raises BrokenUnit."""


class BrokenUnit(Exception):
    """Ends the reading of one unit."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__()
        self.problems = problems


def complete(units: Sequence[Unit], tree: Tree, read: ReadUnit) -> Iterable[Unit]:
    """Returns the broken units with what is known of them from the newest commit in which they can be read."""
    left = {unit.path: unit for unit in units[:MAX_COMPLETED]}
    tried: dict[UnitPath, set[TreeId]] = {unit.path: {unit.tree} for unit in left.values()}
    if not left:
        return units
    found: dict[UnitPath, Unit] = {}
    for earlier in tree.earlier([unit.directory for unit in left.values()]):
        for unit in list(left.values()):
            if (readable := _read(unit, earlier, tried[unit.path], read)) is not None:
                found[unit.path] = _completed(left.pop(unit.path), readable)
        if not left:
            break
    return [found.get(unit.path, unit) for unit in units]


def _read(unit: Unit, earlier: Tree, tried: set[TreeId], read: ReadUnit) -> Unit | None:
    """Returns the unit at an earlier commit; None: it was broken or missing there, or is the same as one tried."""
    try:
        tree = earlier.tree_id(unit.directory)
        if tree in tried:
            return None
        tried.add(tree)
        return read(earlier, unit.directory)
    except (BrokenUnit, Rejected):
        return None


def _completed(unit: Unit, readable: Unit) -> Unit:
    """Returns a broken unit with the metadata of its readable state. The targets of its own manifest, if it can be
    read, count for more."""
    known = {} if unit.targets == (UNKNOWN_TARGET,) else {"kind": unit.kind, "targets": unit.targets}
    own = {"tree": unit.tree, "problems": unit.problems, **known}
    return readable.model_copy(update=own)
