"""The contents of a package repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .artifact import Artifact, SourcePackage
from .frozen import LenientModel
from .ids import JobId, RepositoryName, UnitPath

UnitTarget = tuple[UnitPath, str]
"""A unit and the name of one of its targets. A repository has the packages of the newest build of each."""


class RepositoryEntry(LenientModel):
    """The packages of the newest build of a unit and target.

    arch       the target's, as `platform.machine()` names it
    sequence   of the build: a higher one replaces a lower one
    packages   binary packages; each has its `package`
    source     the source package that they were built from; None: the build left none
    """

    unit: UnitPath
    target: str
    arch: str
    sequence: int
    job_id: JobId
    packages: tuple[Artifact, ...] = ()
    source: SourcePackage | None = None

    @property
    def unit_target(self) -> UnitTarget:
        return self.unit, self.target


PackageLists = Mapping[str, tuple[Artifact, ...]]
"""Binary packages by architecture as the package format names it, in the order of the index."""


@dataclass(frozen=True)
class SnapshotListing:
    """The packages of a snapshot.

    packages             what people install
    debug_packages       packages with debug symbols
    installer_packages   packages for the installer of the distribution
    sources              source packages of all of these
    """

    repository: RepositoryName
    suite: str
    packages: PackageLists
    debug_packages: PackageLists = field(default_factory=dict)
    installer_packages: PackageLists = field(default_factory=dict)
    sources: tuple[SourcePackage, ...] = ()

    @property
    def binaries(self) -> Iterator[Artifact]:
        """All binary packages; one for several architectures comes several times."""
        for lists in (self.packages, self.debug_packages, self.installer_packages):
            for listed in lists.values():
                yield from listed

    @property
    def size(self) -> int:
        """The number of different binary packages; one for all architectures counts once."""
        return len({artifact.sha256 for artifact in self.binaries})
