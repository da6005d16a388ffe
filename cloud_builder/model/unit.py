"""The units that cb-request finds at a commit, their targets and problems."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydantic import field_validator

from .capacity import NOTHING, Capacity
from .frozen import LenientModel
from .ids import Digest, TreeId, UnitPath
from .outcome import Kind

BUILD_ROOT_DESCRIPTION = ".cb/build_root.kiwi"
"""The path of the description of a package's build root in its directory. The manifest's is manifest.MANIFEST."""
_UNREADABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


class Target(LenientModel):
    """A target of a unit. The name of a package's target is `dist.arch`, also the KIWI profile of its build root."""

    name: str
    dist: str = ""
    arch: str = ""
    runner_group: str = ""
    """Only runners of this group build it; empty: any runner of the architecture."""


class Problem(LenientModel):
    """An error in a unit, with its place. The other units of the source are not affected."""

    path: str
    file: str = ""
    line: int = 0
    message: str
    hint: str = ""

    @field_validator("path", "file", "message", "hint")
    @classmethod
    def _is_readable(cls, text: str) -> str:
        """Escapes control characters, and halves of surrogate pairs, which no event can carry.

        A repository may contain both; the second come from file names that are not UTF-8."""
        return _UNREADABLE.sub(lambda found: ascii(found[0])[1:-1], text)

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file or self.path, self.line) if part)
        return f"{where}: {self.message}" + (f"\n  {self.hint}" if self.hint else "")


def hints(problems: Iterable[Problem]) -> str:
    """Returns the next steps of several problems, each once."""
    return " ".join(dict.fromkeys(problem.hint for problem in problems if problem.hint))


UNKNOWN_TARGET = Target(name="unknown")
"""The target of a broken unit whose manifest was never readable. A package's target has a dot in its name."""


class Unit(LenientModel):
    """A directory with `.cb/cloud_builder.yml` at one commit.

    A *broken* unit has `problems`: it cannot be read at this commit. Its other fields are as far as they are known: of
    its manifest if that can be read, otherwise as they were when the unit could be read last. So its dependants are
    still known, and its jobs fail with the problems."""

    path: UnitPath
    directory: str
    """The directory in the tree of the commit, e.g. `projects/packages/hello`."""
    name: str
    kind: Kind
    tree: TreeId
    targets: tuple[Target, ...]
    version: str = ""
    """The version of its packages, as far as its packaging names it before the build; empty: not known."""
    provides: tuple[str, ...] = ()
    """Names of the binary packages that it makes, and of the virtual packages that these provide."""
    virtual: dict[str, tuple[str, ...]] = {}
    """The virtual packages among `provides` → their versions. Without a version: an empty tuple; a version that is not
    known before the build: an empty text."""
    build_depends: str = ""
    """Relation fields that count for a build of every binary, joined by commas (deb: Build-Depends, Build-Depends-Arch,
    Build-Depends-Indep)."""
    runtime_depends: dict[str, str] = {}
    """Binary package → its Depends and Pre-Depends, joined by commas, as far as its packaging names them before the
    build. Packages without any are left out."""
    depends: tuple[UnitPath, ...] = ()
    """Dependencies that the manifest names in addition."""
    profiles: tuple[str, ...] = ()
    """The build profiles that the manifest names, sorted."""
    build_options: tuple[str, ...] = ()
    """The build options that the manifest names, sorted."""
    constraints: Capacity = NOTHING
    """The least that a runner needs (`constraints` of the manifest)."""
    buildroot: Digest | None = None
    """The sha256 of build_root.kiwi. It is part of the input key."""
    repositories: Digest | None = None
    """The sha256 of the metadata of the package repositories that build_root.kiwi names. It is part of the input
    key."""
    unverified: tuple[str, ...] = ()
    """Addresses of package repositories whose signatures build_root.kiwi says not to check."""
    problems: tuple[Problem, ...] = ()
    """Why the unit cannot be built at this commit; empty: it can be read."""


class UnitChange(LenientModel):
    """The files of a unit that a push changed."""

    path: UnitPath
    files: tuple[str, ...]
    """Paths in the unit, at most MAX_FILES."""
    more: int = 0
    """The number of further files."""


class DeletedUnit(LenientModel):
    """A unit that a commit no longer has, and the names that its packages had or provided before."""

    path: UnitPath
    provides: tuple[str, ...] = ()


MAX_FILES = 20
"""Changed files of a unit that are listed."""
