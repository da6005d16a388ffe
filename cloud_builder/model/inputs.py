"""The inputs of a job: the parts of its input key. They are stored, so that `why` can name the part that changed."""

from __future__ import annotations

from .frozen import LenientModel
from .ids import Digest, SourceName, TreeId, UnitPath


class UsedArtifact(LenientModel):
    """An artifact of this mesh that a job builds with."""

    name: str
    """The name of the binary package."""
    sha256: Digest
    source: SourceName = SourceName("")
    unit: UnitPath = UnitPath("")
    """The unit that made it; empty: not known."""


class Inputs(LenientModel):
    """Everything that can change the output of a job, and nothing else. The input key is the digest of this value."""

    recipe: int
    tree: TreeId
    buildroot: Digest | None = None
    repositories: Digest | None = None
    unverified: tuple[str, ...] = ()
    """Addresses of package repositories whose signatures build_root.kiwi says not to check. `buildroot` covers them."""
    profiles: tuple[str, ...] = ()
    build_options: tuple[str, ...] = ()
    dependencies: tuple[UsedArtifact, ...] = ()
