"""The contents of a package repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .artifact import Artifact, BinaryPackage, SourcePackage
from .frozen import LenientModel
from .ids import JobId, RepositoryName, TreeId, UnitPath

UnitTarget = tuple[UnitPath, str]
"""A unit and the name of one of its targets. A repository has the packages of the newest build of each."""


class RepositoryEntry(LenientModel):
    """The packages of the newest build of a unit and target.

    arch       the target's, as `platform.machine()` names it
    sequence   of the build: a higher one replaces a lower one
    packages   binary packages; each has its `package`
    source     the source package that they were built from; None: the build left none
    tree       the git tree of the unit that was built; None: not known
    outside    names that the relations of its packages mention, and that the build root had from the distribution
    """

    unit: UnitPath
    target: str
    arch: str
    sequence: int
    job_id: JobId
    packages: tuple[Artifact, ...] = ()
    source: SourcePackage | None = None
    tree: TreeId | None = None
    outside: tuple[str, ...] = ()

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


class ListedPackage(LenientModel):
    """A binary package in an index, and the build that made it. `artifact` has its `package`.

    `outside`: names that its relations mention, and that its build root had from the distribution."""

    unit: UnitPath
    target: str
    sequence: int
    job_id: JobId
    artifact: Artifact
    outside: tuple[str, ...] = ()

    @property
    def package(self) -> BinaryPackage:
        assert self.artifact.package is not None
        return self.artifact.package

    def __str__(self) -> str:
        return f"{self.package.name} {self.package.version}"

    @property
    def unit_target(self) -> UnitTarget:
        return self.unit, self.target


class HeldBuild(LenientModel):
    """A build that is not published yet, because a published package could not be installed beside it.

    packages    the first of its packages, as `name version`
    reason      which relation is not met, and by which package
    waits_for   the unit whose next build may release it
    """

    unit: UnitPath
    target: str
    job_id: JobId
    packages: tuple[str, ...]
    reason: str
    waits_for: UnitPath | None = None


class KeptPackage(LenientModel):
    """A published package that no unit makes any longer, and why it stays.

    needed_by   the unit of a package that needs it, or the unit that is to make it
    """

    package: str
    version: str
    unit: UnitPath
    reason: str
    needed_by: UnitPath | None = None
