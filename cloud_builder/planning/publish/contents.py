"""What a package repository should hold: verdicts in, the listing of the next snapshot out.

    verdicts ─ advance ─► contents (the newest build of each unit and target) ─ listing ─► packages by architecture

The same verdicts give the same contents in whatever order they come. The rules that a release engineer asks about:

- A lower `sequence` never replaces a higher one: a slow old build does not push a new one out.
- Two units that make a package of the same name and architecture: the one with the newest verdict is listed, with a
  warning. Refusing would stop a package from moving between units; listing both would leave the choice to apt.
- A package for all architectures is listed for each of them. Built for several targets of its unit, each architecture
  lists the one from its own target, so that it fits the packages beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from cloud_builder.model.artifact import Artifact, BinaryPackage
from cloud_builder.model.ids import RepositoryName
from cloud_builder.model.repository import RepositoryEntry, SnapshotListing, UnitTarget
from cloud_builder.planning.relations import ARCHITECTURES

ALL = "all"
RepositoryContents = Mapping[UnitTarget, RepositoryEntry]
_Name = tuple[str, str]
_Candidates = list[tuple[RepositoryEntry, Artifact]]


def apply_results(
    contents: RepositoryContents, finished: Iterable[RepositoryEntry], removed: Collection[UnitTarget] = ()
) -> dict[UnitTarget, RepositoryEntry]:
    """The contents after these verdicts and without the removed slots."""
    after = dict(contents)
    for holding in finished:
        if is_newer(holding, after.get(holding.slot)):
            after[holding.slot] = holding
    return {slot: holding for slot, holding in after.items() if slot not in removed}


def is_newer(holding: RepositoryEntry, known: RepositoryEntry | None) -> bool:
    """Equal sequences are the same verdict told again; the job id decides should they ever differ."""
    return known is None or (holding.sequence, holding.job_id) >= (known.sequence, known.job_id)


def is_same(holding: RepositoryEntry, known: RepositoryEntry | None) -> bool:
    """True when exchanging one for the other changes no index."""
    return known is not None and (holding.packages, holding.arch) == (known.packages, known.arch)


def architecture(machine: str) -> str:
    """`platform.machine()` → Debian's name of it."""
    return ARCHITECTURES.get(machine, machine)


def listing(
    repository: RepositoryName, suite: str, contents: RepositoryContents, architectures: Iterable[str] = ()
) -> tuple[SnapshotListing, tuple[str, ...]]:
    """What the next snapshot offers, and warnings for people.

    `architectures`: those that must have an index though nothing may be built for them (any more)."""
    candidates = _candidates(contents)
    names = {*architectures, *(architecture(holding.arch) for holding in contents.values())}
    names |= {arch for _, arch in candidates if arch != ALL}
    packages = {
        arch: tuple(_choose(candidates[name], arch)[1] for name in sorted(candidates) if name[1] in (arch, ALL))
        for arch in sorted(names)
    }
    warnings = tuple(_warning(name, candidates[name]) for name in sorted(candidates) if _is_contested(candidates[name]))
    return SnapshotListing(repository, suite, packages), warnings


def _candidates(contents: RepositoryContents) -> dict[_Name, _Candidates]:
    found: dict[_Name, _Candidates] = {}
    for slot in sorted(contents):
        for artifact in contents[slot].packages:
            if (package := artifact.package) is not None:
                found.setdefault(_name(package), []).append((contents[slot], artifact))
    return found


def _name(package: BinaryPackage) -> _Name:
    return package.name, package.architecture


def _rank(candidate: tuple[RepositoryEntry, Artifact]) -> tuple[int, str, str, str]:
    holding, artifact = candidate
    return holding.sequence, holding.unit, holding.target, artifact.sha256


def _choose(candidates: _Candidates, arch: str) -> tuple[RepositoryEntry, Artifact]:
    unit = max(candidates, key=_rank)[0].unit
    of_unit = [candidate for candidate in candidates if candidate[0].unit == unit]
    own = [candidate for candidate in of_unit if architecture(candidate[0].arch) == arch]
    return max(own or of_unit, key=_rank)


def _is_contested(candidates: _Candidates) -> bool:
    return len({holding.unit for holding, _ in candidates}) > 1


def _warning(name: _Name, candidates: _Candidates) -> str:
    winner = max(candidates, key=_rank)[0]
    others = sorted({holding.unit for holding, _ in candidates} - {winner.unit})
    return f"{name[0]} ({name[1]}) is made by {winner.unit} and by {', '.join(others)}: that of {winner.unit} is listed"
