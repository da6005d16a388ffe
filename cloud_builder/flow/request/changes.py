"""Files that changed between two commits → the units they lie in, and what readers are told of them.

Pure: git has been asked already. A unit is its directory, so it has changed when any file below it has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from cloud_builder.model.ids import UnitPath
from cloud_builder.model.unit import MOST_FILES, Unit, UnitChange

MOST_NAMED = 20_000
"""Files that one announcement names, of all units together; the others are counted."""
_LONGEST_NAME = 1000


def changes_by_unit(units: Iterable[Unit], files: Iterable[str]) -> dict[UnitPath, list[str]]:
    """Unit → its files among `files`, as paths inside it. One file belongs to each unit around it (they may nest)."""
    places = {unit.directory: unit.path for unit in units}
    found: dict[UnitPath, list[str]] = defaultdict(list)
    for file in files:
        directory, rest = file, ""
        while directory:
            directory, _, name = directory.rpartition("/")
            rest = f"{name}/{rest}" if rest else name
            if (unit := places.get(directory)) is not None:
                found[unit].append(rest)
    return dict(found)


def summarize_changes(found: Mapping[UnitPath, Sequence[str]]) -> tuple[UnitChange, ...]:
    """The first files of each unit, fewer when there are very many units, and how many more."""
    most = max(1, min(MOST_FILES, MOST_NAMED // max(1, len(found))))
    return tuple(
        UnitChange(path=path, files=tuple(_readable(file) for file in files[:most]), more=max(0, len(files) - most))
        for path, files in sorted(found.items())
    )


def _readable(file: str) -> str:
    """Names may hold anything; no event can carry halves of surrogate pairs."""
    return file.encode(errors="backslashreplace").decode()[:_LONGEST_NAME]
