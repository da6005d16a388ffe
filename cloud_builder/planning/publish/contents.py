"""The contents of a package repository: results of builds → listing of the next snapshot.

    results ─ apply_results ─► contents (the newest build of each unit and target) ─ listing ─► packages by architecture

The same results give the same contents in any order. A lower `sequence` never replaces a higher one: a slow build of an
older commit does not replace a newer build. `listing.py` has the rules of what is listed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from cloud_builder.model.artifact import BinaryPackage
from cloud_builder.model.repository import RepositoryEntry, UnitTarget

RepositoryContents = Mapping[UnitTarget, RepositoryEntry]


def apply_results(
    contents: RepositoryContents, results: Iterable[RepositoryEntry], removed: Collection[UnitTarget] = ()
) -> dict[UnitTarget, RepositoryEntry]:
    """Returns the contents after these results, without the removed units and targets."""
    after = dict(contents)
    for entry in results:
        if is_newer(entry, after.get(entry.unit_target)):
            after[entry.unit_target] = entry
    return {key: entry for key, entry in after.items() if key not in removed}


def is_newer(entry: RepositoryEntry, current: RepositoryEntry | None) -> bool:
    """True when the entry replaces the current one.

    Equal sequences are a repeated event of the same result; if they ever differ, the job id decides."""
    return current is None or (entry.sequence, entry.job_id) >= (current.sequence, current.job_id)


def removed_packages(before: RepositoryContents, after: RepositoryContents) -> tuple[str, ...]:
    """Returns the packages that no build makes any longer, as `name version`; a new version is no removal."""
    changed = [key for key, entry in before.items() if after.get(key) is not entry]
    made = {package.name for key in changed if key in after for package in _packages(after[key])}
    missing = [package for key in changed for package in _packages(before[key]) if package.name not in made]
    made_elsewhere = {package.name for entry in after.values() for package in _packages(entry)} if missing else set()
    return tuple(sorted({f"{gone.name} {gone.version}" for gone in missing if gone.name not in made_elsewhere}))


def _packages(entry: RepositoryEntry) -> Iterator[BinaryPackage]:
    return (artifact.package for artifact in entry.packages if artifact.package is not None)


def is_same(entry: RepositoryEntry, current: RepositoryEntry | None) -> bool:
    """True when replacing the current entry changes no index."""
    if current is None:
        return False
    return (entry.packages, entry.source, entry.arch) == (current.packages, current.source, current.arch)
