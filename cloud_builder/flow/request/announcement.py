"""Builds the `source.revised` events of a commit, and the list of changes that they carry.

Input: the units discovered at a commit; the names of the files that differ from an earlier commit.
Output: events in parts that fit into a message; the changed files by unit.
Must not: read git. The resolver has done that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from cloud_builder.model.events import SourceRevised
from cloud_builder.model.ids import Revision, SourceName, TreeId, UnitPath
from cloud_builder.model.parts import split
from cloud_builder.model.rebuild import DEFAULT_SUFFIX
from cloud_builder.model.text import utf8
from cloud_builder.model.unit import MAX_FILES, Problem, Unit, UnitChange

from .discover import DiscoveredUnits

_MAX_ENTRIES = 200
"""Units, problems and changes in one part."""
MAX_LISTED_FILES = 20_000
"""Changed files that one announcement lists, over all units; the others are only counted."""
_MAX_FILE_NAME = 1000
"""Characters of a listed file name; the rest is dropped."""


def snapshot_events(
    source: SourceName,
    url: str,
    branch: str,
    revision: Revision,
    discovered: DiscoveredUnits,
    *,
    followed: bool,
    rebuild_suffix: str = DEFAULT_SUFFIX,
    since: Revision | None = None,
    changes: Sequence[UnitChange] = (),
) -> list[SourceRevised]:
    """Returns the parts of an announcement, at least one: units first, then problems, then changes."""
    parts = list(split([*discovered.units, *discovered.problems, *changes], _MAX_ENTRIES)) or [[]]
    return [
        SourceRevised(
            source=source,
            url=url,
            branch=branch,
            revision=revision,
            followed=followed,
            rebuild_suffix=rebuild_suffix,
            units=tuple(entry for entry in part if isinstance(entry, Unit)),
            problems=tuple(entry for entry in part if isinstance(entry, Problem)),
            since=since,
            changes=tuple(entry for entry in part if isinstance(entry, UnitChange)),
            part=number,
            parts=len(parts),
        )
        for number, part in enumerate(parts)
    ]


def unit_trees(discovered: DiscoveredUnits) -> dict[UnitPath, TreeId]:
    """Returns the content of each unit. Two commits with the same tree have the same unit."""
    return {unit.path: unit.tree for unit in discovered.units}


def broken_units(discovered: DiscoveredUnits) -> frozenset[UnitPath]:
    return frozenset(unit.path for unit in discovered.units if unit.problems)


def changed_units(
    before: Mapping[UnitPath, TreeId], broken: Collection[UnitPath], discovered: DiscoveredUnits
) -> tuple[UnitPath, ...]:
    """Returns the units that are new or have another tree, and those of `broken` that can be read now.

    `broken`: the units that were broken before; what else is wrong than their files can have been repaired."""
    return tuple(
        unit.path
        for unit in discovered.units
        if before.get(unit.path) != unit.tree or (unit.path in broken and not unit.problems)
    )


def changes_by_unit(
    units: Iterable[Unit], files: Iterable[str], links: Mapping[UnitPath, Mapping[str, str]] = MappingProxyType({})
) -> dict[UnitPath, list[str]]:
    """Returns, for each unit, its files among `files`, as paths inside the unit.

    A unit is a directory: it has changed when any file below it has. Units may nest; a file then belongs to each of
    the units around it. `links`: of each unit, its links that are followed → where they lead to; a file there has the
    path of the link.
    """
    files = list(files)
    path_by_directory = {unit.directory: unit.path for unit in units}
    found: dict[UnitPath, list[str]] = defaultdict(list)
    for file in files:
        directory, rest = file, ""
        while directory:
            directory, _, name = directory.rpartition("/")
            rest = f"{name}/{rest}" if rest else name
            if (unit := path_by_directory.get(directory)) is not None:
                found[unit].append(rest)
    for path, targets in links.items():
        found[path] += list(_linked(targets, files)) if targets else ()
    return {path: names for path, names in found.items() if names}


def _linked(targets: Mapping[str, str], files: Iterable[str]) -> Iterator[str]:
    for file in files:
        for link, target in targets.items():
            if f"{file}/".startswith(f"{target}/"):
                yield link + file.removeprefix(target)


def summarize_changes(files_by_unit: Mapping[UnitPath, Sequence[str]]) -> tuple[UnitChange, ...]:
    """Returns the first changed files of each unit, and how many more there are.

    With very many changed units, fewer files of each are listed (`MAX_LISTED_FILES`), at least one.
    """
    most = max(1, min(MAX_FILES, MAX_LISTED_FILES // max(1, len(files_by_unit))))
    return tuple(
        UnitChange(
            path=path,
            files=tuple(utf8(file)[:_MAX_FILE_NAME] for file in files[:most]),
            more=max(0, len(files) - most),
        )
        for path, files in sorted(files_by_unit.items())
    )
