"""A snapshot → its source.revised events, in parts that fit into a message; two snapshots → what a push changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cloud_builder.model.events import SourceRevised
from cloud_builder.model.ids import Revision, SourceName, TreeId, UnitPath
from cloud_builder.model.unit import Problem, Unit, UnitChange

from .discover import DiscoveredUnits

_MOST_IN_PART = 200
_MOST_BYTES = 400_000


def snapshot_events(
    source: SourceName,
    url: str,
    branch: str,
    revision: Revision,
    snapshot: DiscoveredUnits,
    *,
    followed: bool,
    since: Revision | None = None,
    changes: Sequence[UnitChange] = (),
) -> list[SourceRevised]:
    """At least one part; units, problems and changes in order."""
    parts = list(_parts([*snapshot.units, *snapshot.problems, *changes])) or [[]]
    return [
        SourceRevised(
            source=source,
            url=url,
            branch=branch,
            revision=revision,
            followed=followed,
            units=tuple(one for one in part if isinstance(one, Unit)),
            problems=tuple(one for one in part if isinstance(one, Problem)),
            since=since,
            changes=tuple(one for one in part if isinstance(one, UnitChange)),
            part=number,
            parts=len(parts),
        )
        for number, part in enumerate(parts)
    ]


Entry = Unit | Problem | UnitChange


def _parts(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    part: list[Entry] = []
    size = 0
    for entry in entries:
        bytes_ = len(entry.model_dump_json())
        if part and (len(part) == _MOST_IN_PART or size + bytes_ > _MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(entry)
        size += bytes_
    if part:
        yield part


def unit_trees(snapshot: DiscoveredUnits) -> dict[UnitPath, TreeId]:
    """What push detection compares."""
    return {unit.path: unit.tree for unit in snapshot.units}


def changed_units(before: Mapping[UnitPath, TreeId], snapshot: DiscoveredUnits) -> tuple[UnitPath, ...]:
    """Units that are new or have changed; one that was broken before counts as new."""
    return tuple(unit.path for unit in snapshot.units if before.get(unit.path) != unit.tree)
