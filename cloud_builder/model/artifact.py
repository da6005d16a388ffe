"""Artifacts: the files that a build makes, addressed by their sha256."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from .frozen import LenientModel
from .ids import Digest


class ArtifactKind(StrEnum):
    """The kinds of files."""

    DEB = "deb"
    UDEB = "udeb"
    """A binary package for the Debian installer."""
    DSC = "dsc"
    """The description of the source package that was built."""
    SOURCE = "source"
    """A file that the description of the source package lists."""
    CHANGES = "changes"
    BUILDINFO = "buildinfo"
    LOG = "log"
    PACKAGES = "packages"
    """The packages of the build root as they were resolved, one `name version architecture` a line."""
    OTHER = "other"


class BinaryPackage(LenientModel):
    """The metadata of a binary package that planning and publishing need.

    Relations have the syntax of the package format (deb: Debian policy 7.1)."""

    name: str
    version: str
    architecture: str
    depends: str = ""
    """Depends and Pre-Depends, joined by commas."""
    provides: str = ""
    debug_symbols: bool = False
    """The packager made it by itself, with the debug symbols of another package."""
    conflicts: str = ""
    """Conflicts and Breaks, joined by commas."""
    in_distribution: str = ""
    """The version that the distribution has of the package, when it is equal or higher."""


class Artifact(LenientModel):
    """One file of an attempt. `size` in bytes; `name` is a bare file name."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+~:_@%-]*$", max_length=250)
    sha256: Digest = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)
    kind: ArtifactKind = ArtifactKind.OTHER
    package: BinaryPackage | None = None


class SourcePackage(LenientModel):
    """A source package. `files`: its description (DSC) first, then the files that the description lists."""

    name: str
    version: str
    files: tuple[Artifact, ...] = Field(min_length=1)
