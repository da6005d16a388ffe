"""The contents of a package repository: results of builds → listing of the next snapshot.

    results ─ apply_results ─► contents (the newest build of each unit and target) ─ listing ─► packages by architecture

The same results give the same contents in any order. The rules:

- A lower `sequence` never replaces a higher one: a slow build of an older commit does not replace a newer build.
- If two units make a package of the same name and architecture, the package with the newest result is listed, with a
  warning. Refusing it would stop a package from moving between units; listing both would leave the choice to apt.
- A package for all architectures is listed for each of them. If it was built for several targets of its unit, each
  architecture lists the package of its own target, so that it fits the packages beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from cloud_builder.model.artifact import Artifact, BinaryPackage
from cloud_builder.model.ids import RepositoryName
from cloud_builder.model.repository import RepositoryEntry, SnapshotListing, UnitTarget
from cloud_builder.planning.relations import ARCHITECTURES

ALL = "all"
"""Debian's name of an architecture: the package fits every architecture."""
RepositoryContents = Mapping[UnitTarget, RepositoryEntry]
_Name = tuple[str, str]
"""(package, architecture)"""
_Candidates = list[tuple[RepositoryEntry, Artifact]]


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


def is_same(entry: RepositoryEntry, current: RepositoryEntry | None) -> bool:
    """True when replacing the current entry changes no index."""
    return current is not None and (entry.packages, entry.arch) == (current.packages, current.arch)


def architecture(machine: str) -> str:
    """Returns Debian's name of a `platform.machine()`."""
    return ARCHITECTURES.get(machine, machine)


def listing(
    repository: RepositoryName, suite: str, contents: RepositoryContents, architectures: Iterable[str] = ()
) -> tuple[SnapshotListing, tuple[str, ...]]:
    """Returns the packages of the next snapshot, and warnings for its users.

    `architectures`: architectures that have an index even without packages, or without packages any longer."""
    candidates = _candidates(contents)
    names = {*architectures, *(architecture(entry.arch) for entry in contents.values())}
    names |= {arch for _, arch in candidates if arch != ALL}
    packages = {
        arch: tuple(_choose(candidates[name], arch)[1] for name in sorted(candidates) if name[1] in (arch, ALL))
        for arch in sorted(names)
    }
    warnings = tuple(_warning(name, candidates[name]) for name in sorted(candidates) if _is_contested(candidates[name]))
    return SnapshotListing(repository, suite, packages), warnings


def _candidates(contents: RepositoryContents) -> dict[_Name, _Candidates]:
    candidates: dict[_Name, _Candidates] = {}
    for key in sorted(contents):
        for artifact in contents[key].packages:
            if (package := artifact.package) is not None:
                candidates.setdefault(_name(package), []).append((contents[key], artifact))
    return candidates


def _name(package: BinaryPackage) -> _Name:
    return package.name, package.architecture


def _rank(candidate: tuple[RepositoryEntry, Artifact]) -> tuple[int, str, str, str]:
    entry, artifact = candidate
    return entry.sequence, entry.unit, entry.target, artifact.sha256


def _choose(candidates: _Candidates, arch: str) -> tuple[RepositoryEntry, Artifact]:
    unit = max(candidates, key=_rank)[0].unit
    of_unit = [candidate for candidate in candidates if candidate[0].unit == unit]
    of_arch = [candidate for candidate in of_unit if architecture(candidate[0].arch) == arch]
    return max(of_arch or of_unit, key=_rank)


def _is_contested(candidates: _Candidates) -> bool:
    return len({entry.unit for entry, _ in candidates}) > 1


def _warning(name: _Name, candidates: _Candidates) -> str:
    listed = max(candidates, key=_rank)[0].unit
    others = sorted({entry.unit for entry, _ in candidates} - {listed})
    return f"{name[0]} ({name[1]}) is made by {listed} and by {', '.join(others)}: the package of {listed} is listed"
