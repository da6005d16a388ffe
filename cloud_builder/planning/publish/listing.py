"""Lists the contents of a repository for its next snapshot: contents → `SnapshotListing`.

- If two units make a package of the same name and architecture, the package with the newest result is listed, with a
  warning. Refusing it would stop a package from moving between units; listing both would leave the choice to apt.
- A package for all architectures is listed for each of them. If the targets of its unit have built different versions,
  each architecture lists the version of its own target, so that it fits the packages beside it.
- The architecture `all` lists what all architectures agree on: clients of other architectures read that index alone.
- The source package of every listed build is listed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from cloud_builder.model.artifact import Artifact, ArtifactKind, SourcePackage
from cloud_builder.model.ids import RepositoryName
from cloud_builder.model.repository import PackageLists, RepositoryEntry, SnapshotListing
from cloud_builder.planning.relations import ARCHITECTURES

from .contents import RepositoryContents

ALL = "all"
"""Debian's name of an architecture: the package fits every architecture."""
_MAIN, _DEBUG, _INSTALLER = range(3)
_Name = tuple[int, str, str]
"""(list, package, architecture)"""
_Candidates = list[tuple[RepositoryEntry, Artifact]]


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
    names |= {arch for _, _, arch in candidates}
    main, debug, installer = (
        _lists(number, candidates, sorted(names - {ALL})) for number in (_MAIN, _DEBUG, _INSTALLER)
    )
    warnings = tuple(_warning(name, candidates[name]) for name in sorted(candidates) if _is_contested(candidates[name]))
    return SnapshotListing(repository, suite, main, debug, installer, _sources(contents.values())), warnings


def _candidates(contents: RepositoryContents) -> dict[_Name, _Candidates]:
    candidates: dict[_Name, _Candidates] = {}
    for key in sorted(contents):
        for artifact in contents[key].packages:
            if (package := artifact.package) is not None:
                name = _list_of(artifact), package.name, package.architecture
                candidates.setdefault(name, []).append((contents[key], artifact))
    return candidates


def _list_of(artifact: Artifact) -> int:
    if artifact.kind is ArtifactKind.UDEB:
        return _INSTALLER
    return _DEBUG if artifact.package is not None and artifact.package.debug_symbols else _MAIN


def _lists(number: int, candidates: dict[_Name, _Candidates], architectures: Collection[str]) -> PackageLists:
    """Returns one list of a snapshot by architecture, `all` first."""
    names = [name for name in sorted(candidates) if name[0] == number]
    lists = {
        arch: [_choose(candidates[name], arch) for name in names if name[2] in (arch, ALL)] for arch in architectures
    }
    for_all = [[_choose(candidates[name], arch) for arch in architectures] for name in names if name[2] == ALL]
    agreed = [chosen[0] for chosen in for_all if chosen and all(artifact == chosen[0] for artifact in chosen)]
    return {ALL: tuple(agreed), **{arch: tuple(listed) for arch, listed in lists.items()}}


def _rank(candidate: tuple[RepositoryEntry, Artifact]) -> tuple[int, str, str, str]:
    entry, artifact = candidate
    return entry.sequence, entry.unit, entry.target, artifact.sha256


def _choose(candidates: _Candidates, arch: str) -> Artifact:
    """Returns the package that an architecture lists: of the newest unit, in the version of the target for `arch`.

    Of one version all architectures list the same file."""
    if len(candidates) == 1:
        return candidates[0][1]
    unit = max(candidates, key=_rank)[0].unit
    of_unit = [candidate for candidate in candidates if candidate[0].unit == unit]
    of_arch = [candidate for candidate in of_unit if architecture(candidate[0].arch) == arch]
    version = _version(max(of_arch or of_unit, key=_rank)[1])
    return max((candidate for candidate in of_unit if _version(candidate[1]) == version), key=_rank)[1]


def _version(artifact: Artifact) -> str:
    return artifact.package.version if artifact.package is not None else ""


def _sources(entries: Iterable[RepositoryEntry]) -> tuple[SourcePackage, ...]:
    """Returns the source packages of builds, each version once: of the newest build."""
    newest: dict[tuple[str, str], SourcePackage] = {}
    for entry in sorted(entries, key=lambda entry: (entry.sequence, entry.unit, entry.target)):
        if entry.source is not None and entry.packages:
            newest[entry.source.name, entry.source.version] = entry.source
    return tuple(newest[key] for key in sorted(newest))


def _is_contested(candidates: _Candidates) -> bool:
    return len(candidates) > 1 and len({entry.unit for entry, _ in candidates}) > 1


def _warning(name: _Name, candidates: _Candidates) -> str:
    listed = max(candidates, key=_rank)[0].unit
    others = sorted({entry.unit for entry, _ in candidates} - {listed})
    return f"{name[1]} ({name[2]}) is made by {listed} and by {', '.join(others)}: the package of {listed} is listed"
