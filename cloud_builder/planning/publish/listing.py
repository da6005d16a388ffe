"""Lists the contents of a repository for its next snapshot: contents → `SnapshotListing`.

- If two units make a package of the same name and architecture, one is listed (`choice.py`), with a warning. Refusing
  it would stop a package from moving between units; listing both would leave the choice to apt.
- A package for all architectures is listed for each of them.
- The architecture `all` lists what all architectures agree on: clients of other architectures read that index alone.
- The source package of every listed build is listed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from cloud_builder.model.artifact import Artifact, ArtifactKind, SourcePackage
from cloud_builder.model.ids import RepositoryName
from cloud_builder.model.repository import PackageLists, RepositoryEntry, SnapshotListing

from .choice import ALL, Candidate, architecture, choose, rank
from .contents import RepositoryContents

MAX_NAMED_PACKAGES = 5
"""Packages that a warning names."""
_MAIN, _DEBUG, _INSTALLER = range(3)
_Name = tuple[int, str, str]
"""(list, package, architecture)"""


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
    warnings += _in_distribution(repository, main)
    return SnapshotListing(repository, suite, main, debug, installer, _sources(contents.values())), warnings


def _candidates(contents: RepositoryContents) -> dict[_Name, list[Candidate]]:
    candidates: dict[_Name, list[Candidate]] = {}
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


def _lists(number: int, candidates: dict[_Name, list[Candidate]], architectures: Collection[str]) -> PackageLists:
    """Returns one list of a snapshot by architecture, `all` first."""
    names = [name for name in sorted(candidates) if name[0] == number]
    lists = {
        arch: [choose(candidates[name], arch)[1] for name in names if name[2] in (arch, ALL)] for arch in architectures
    }
    for_all = [[choose(candidates[name], arch)[1] for arch in architectures] for name in names if name[2] == ALL]
    agreed = [chosen[0] for chosen in for_all if chosen and all(artifact == chosen[0] for artifact in chosen)]
    return {ALL: tuple(agreed), **{arch: tuple(listed) for arch, listed in lists.items()}}


def _sources(entries: Iterable[RepositoryEntry]) -> tuple[SourcePackage, ...]:
    """Returns the source packages of builds, each version once: of the newest build."""
    newest: dict[tuple[str, str], SourcePackage] = {}
    for entry in sorted(entries, key=lambda entry: (entry.sequence, entry.unit, entry.target)):
        if entry.source is not None and entry.packages:
            newest[entry.source.name, entry.source.version] = entry.source
    return tuple(newest[key] for key in sorted(newest))


def _is_contested(candidates: list[Candidate]) -> bool:
    return len(candidates) > 1 and len({entry.unit for entry, _ in candidates}) > 1


def _warning(name: _Name, candidates: list[Candidate]) -> str:
    listed = max(candidates, key=rank)[0].unit
    others = sorted({entry.unit for entry, _ in candidates} - {listed})
    return f"{name[1]} ({name[2]}) is made by {listed} and by {', '.join(others)}: the package of {listed} is listed"


def _in_distribution(repository: RepositoryName, lists: PackageLists) -> tuple[str, ...]:
    """Returns a warning about packages that apt takes from the distribution on a client without our preferences."""
    packages = {artifact.package for listed in lists.values() for artifact in listed if artifact.package is not None}
    lower = sorted((package.name, package.version, package.in_distribution) for package in packages)
    named = [
        f"{name} {version}" + (f" (there {theirs})" if theirs != version else "")
        for name, version, theirs in lower
        if theirs
    ]
    if not named:
        return ()
    further = f" and {len(named) - MAX_NAMED_PACKAGES} more" if len(named) > MAX_NAMED_PACKAGES else ""
    return (
        f"the distribution has an equal or a higher version of {', '.join(named[:MAX_NAMED_PACKAGES])}{further}:"
        f" a client installs ours only with {repository}.pref in /etc/apt/preferences.d",
    )
