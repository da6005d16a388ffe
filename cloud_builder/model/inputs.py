"""What goes into a job: the parts of its input key, kept so that people can be told which of them changed."""

from __future__ import annotations

from .frozen import LenientModel
from .ids import Digest, SourceName, TreeId, UnitPath


class UsedArtifact(LenientModel):
    """An artifact of ours that a job builds with. `unit` empty: not known which one made it."""

    name: str
    """Of the binary package."""
    sha256: Digest
    source: SourceName = SourceName("")
    unit: UnitPath = UnitPath("")


class Inputs(LenientModel):
    """Everything that can change the output, and nothing else. The input key is the digest of it."""

    recipe: int
    tree: TreeId
    buildroot: Digest | None = None
    repositories: Digest | None = None
    profiles: tuple[str, ...] = ()
    dependencies: tuple[UsedArtifact, ...] = ()
