"""The contents of a package repository."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .artifact import Artifact
from .frozen import LenientModel
from .ids import JobId, RepositoryName, UnitPath

UnitTarget = tuple[UnitPath, str]
"""A unit and the name of one of its targets. A repository has the packages of the newest build of each."""


class RepositoryEntry(LenientModel):
    """The packages of the newest build of a unit and target.

    arch       the target's, as `platform.machine()` names it
    sequence   of the build: a higher one replaces a lower one
    packages   binary packages; each has its `package`
    """

    unit: UnitPath
    target: str
    arch: str
    sequence: int
    job_id: JobId
    packages: tuple[Artifact, ...] = ()

    @property
    def unit_target(self) -> UnitTarget:
        return self.unit, self.target


@dataclass(frozen=True)
class SnapshotListing:
    """The packages of a snapshot, by architecture as the package format names it, in the order of the index."""

    repository: RepositoryName
    suite: str
    packages: Mapping[str, tuple[Artifact, ...]]

    @property
    def size(self) -> int:
        """The number of different packages; one for all architectures counts once."""
        return len({artifact.sha256 for listed in self.packages.values() for artifact in listed})
