"""Units as cb-request finds them at one commit, and what they are built for."""

from __future__ import annotations

import re

from pydantic import field_validator

from .capacity import NOTHING, Capacity
from .frozen import LenientModel
from .ids import Digest, TreeId, UnitPath
from .outcome import Kind

BUILD_ROOT_DESCRIPTION = ".cb/build_root.kiwi"
"""The path of the description of a package's build root in its directory. The manifest's is manifest.MANIFEST."""
_UNREADABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Target(LenientModel):
    """What a unit is built for. A package's name is `dist.arch`, which is also the KIWI profile of its buildroot."""

    name: str
    dist: str = ""
    arch: str = ""
    runner_group: str = ""
    """Empty: any runner of the right architecture."""


class Unit(LenientModel):
    """A directory with `.cb/cloud_builder.yml` at one commit.

    `build_depends` holds the relation fields that count for a build of every binary, joined by commas
    (deb: Build-Depends, Build-Depends-Arch, Build-Depends-Indep); `provides` the names of the binaries it makes.
    `buildroot` is the sha256 of build_root.kiwi and `repositories` that of the metadata of the package
    repositories it names, so that a change of either changes the input key."""

    path: UnitPath
    directory: str
    """Where the unit lies in the tree of the commit, e.g. `projects/packages/hello`."""
    name: str
    kind: Kind
    tree: TreeId
    targets: tuple[Target, ...]
    version: str = ""
    """Of the packages it makes, as far as their packaging says before they are built; empty: not known."""
    provides: tuple[str, ...] = ()
    virtual: dict[str, tuple[str, ...]] = {}
    """Those of `provides` that are virtual packages, and in which versions: none for one without a version, an empty
    one for one that is not known before the build. Units of before this was told have none."""
    build_depends: str = ""
    depends: tuple[UnitPath, ...] = ()
    """What the manifest adds by hand to the dependencies its metadata names."""
    constraints: Capacity = NOTHING
    """What a runner must have (the manifest's `constraints`)."""
    buildroot: Digest | None = None
    repositories: Digest | None = None


class UnitChange(LenientModel):
    """Which files of a unit a push changed: paths in the unit, at most MOST_FILES of them, and how many more."""

    path: UnitPath
    files: tuple[str, ...]
    more: int = 0


MOST_FILES = 20


class Problem(LenientModel):
    """A unit that cannot be used, and why: the healthy ones beside it are not touched."""

    path: str
    file: str = ""
    line: int = 0
    message: str
    hint: str = ""

    @field_validator("path", "file", "message", "hint")
    @classmethod
    def _is_readable(cls, text: str) -> str:
        """A repository may hold anything: control characters are named, and halves of surrogate pairs (file names that
        are not UTF-8), which no event can carry."""
        return _UNREADABLE.sub(lambda found: ascii(found[0])[1:-1], text)

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file or self.path, self.line) if part)
        return f"{where}: {self.message}" + (f"\n  {self.hint}" if self.hint else "")
