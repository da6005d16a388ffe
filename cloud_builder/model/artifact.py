"""Files that builds leave behind, addressed by their sha256."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from .frozen import LenientModel
from .ids import Digest


class ArtifactKind(StrEnum):
    """What a file is to us."""

    DEB = "deb"
    CHANGES = "changes"
    BUILDINFO = "buildinfo"
    LOG = "log"
    PACKAGES = "packages"
    """The solved package list of the buildroot, one `name version architecture` a line."""
    OTHER = "other"


class BinaryPackage(LenientModel):
    """What a binary package says of itself, as far as planning needs it.

    Relations keep the syntax of their format (Debian policy 7.1 for deb)."""

    name: str
    version: str
    architecture: str
    depends: str = ""
    """Depends and Pre-Depends, joined by commas."""
    provides: str = ""


class Artifact(LenientModel):
    """One file of an attempt. `size` in bytes; `name` is a bare file name."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+~:_@%-]*$", max_length=250)
    sha256: Digest = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)
    kind: ArtifactKind = ArtifactKind.OTHER
    package: BinaryPackage | None = None
