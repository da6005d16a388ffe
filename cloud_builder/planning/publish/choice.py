"""Which package each index lists when several builds have made one of that name.

If two units make a package of the same name, the package of the newest result is listed. A package for all
architectures that was built for several targets of its unit is listed for each architecture in the version of its own
target, so that it fits the packages beside it. Of one version all architectures list the same file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.repository import ListedPackage, RepositoryEntry
from cloud_builder.planning.architectures import debian_architecture

ALL = "all"
"""Debian's name of an architecture: the package fits every architecture."""
INSTALLER = " installer"
"""Is added to the name of an architecture for its index of packages for the installer, which are installed alone."""
Candidate = tuple[RepositoryEntry, Artifact]


def architecture(machine: str) -> str:
    """Returns Debian's name of a `platform.machine()`."""
    return debian_architecture(machine)


def choose(candidates: Sequence[Candidate], arch: str) -> Candidate:
    """Returns the build and the package that an index lists."""
    if len(candidates) == 1:
        return candidates[0]
    unit = max(candidates, key=rank)[0].unit
    of_unit = [candidate for candidate in candidates if candidate[0].unit == unit]
    of_arch = [candidate for candidate in of_unit if architecture(candidate[0].arch) == arch]
    version = _version(max(of_arch or of_unit, key=rank))
    return max((candidate for candidate in of_unit if _version(candidate) == version), key=rank)


def rank(candidate: Candidate) -> tuple[int, str, str, str]:
    entry, artifact = candidate
    return entry.sequence, entry.unit, entry.target, artifact.sha256


def choices(entries: Iterable[RepositoryEntry]) -> dict[str, dict[str, ListedPackage]]:
    """Returns the listed packages by index (an architecture, or one with INSTALLER) and by name."""
    found: dict[tuple[str, str], list[Candidate]] = defaultdict(list)
    architectures = set()
    for entry in entries:
        architectures.add(architecture(entry.arch))
        for artifact in entry.packages:
            if (package := artifact.package) is not None:
                kind = INSTALLER if artifact.kind is ArtifactKind.UDEB else ""
                found[kind, package.name].append((entry, artifact))
                architectures.add(package.architecture)
    indices: dict[str, dict[str, ListedPackage]] = defaultdict(dict)
    for arch in sorted(architectures - {ALL}):
        for (kind, name), candidates in found.items():
            if fitting := list(_fitting(candidates, arch)):
                indices[arch + kind][name] = _listed(*choose(fitting, arch))
    return indices


def _fitting(candidates: Sequence[Candidate], arch: str) -> Iterator[Candidate]:
    for candidate in candidates:
        package = candidate[1].package
        if package is not None and package.architecture in (arch, ALL):
            yield candidate


def _listed(entry: RepositoryEntry, artifact: Artifact) -> ListedPackage:
    return ListedPackage.construct_unchecked(
        unit=entry.unit,
        target=entry.target,
        sequence=entry.sequence,
        job_id=entry.job_id,
        artifact=artifact,
        outside=entry.outside,
    )


def _version(candidate: Candidate) -> str:
    package = candidate[1].package
    return package.version if package is not None else ""
