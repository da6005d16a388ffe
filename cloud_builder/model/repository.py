"""What a package repository holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .artifact import Artifact
from .frozen import LenientModel
from .ids import JobId, RepositoryName, UnitPath

UnitTarget = tuple[UnitPath, str]
"""A unit and the name of one of its targets: the newest build of each slot is in its repository."""


class RepositoryEntry(LenientModel):
    """What the newest verdict on a unit and target gives to a repository.

    `arch`: the target's, as `platform.machine()` names it. `packages`: binary packages, each with its `package`."""

    unit: UnitPath
    target: str
    arch: str
    sequence: int
    job_id: JobId
    packages: tuple[Artifact, ...] = ()

    @property
    def slot(self) -> UnitTarget:
        return self.unit, self.target


@dataclass(frozen=True)
class SnapshotListing:
    """What a snapshot offers: `packages` by the architecture as the package format names it, in the index's order."""

    repository: RepositoryName
    suite: str
    packages: Mapping[str, tuple[Artifact, ...]]

    @property
    def size(self) -> int:
        """How many different packages; one for all architectures counts once."""
        return len({artifact.sha256 for listed in self.packages.values() for artifact in listed})
