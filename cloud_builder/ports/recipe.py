"""The port to a package format: how a source of that format becomes packages, told as values.

A recipe reads sources and tools' output, and says which programs to run in a build root; the pipeline of the runner
runs them. It never runs anything of a source on the machine itself, and knows nothing of jobs, runners or stores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cloud_builder.errors import CloudBuilderError
from cloud_builder.model.artifact import Artifact, ArtifactKind, BinaryPackage

from .sandbox import Bind

BUILDER = 1000
"""User and group id that builds run as."""


@dataclass(frozen=True)
class PackageSource:
    """A source package as it lies in a directory.

    `form` is the format's own word for how it is packed, `files` the bare names of the archives that belong to it,
    `build_depends` its relation fields as (field, value on one line), `epoch` the time of its last change in seconds
    since the epoch (None: known only when unpacked), `profiles` the build profiles to build it with."""

    name: str
    version: str
    directory: Path
    form: str
    files: tuple[str, ...] = ()
    build_depends: tuple[tuple[str, str], ...] = ()
    epoch: int | None = None
    profiles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Action:
    """One program to run in a build root. `uid` 0 is root inside only; `environment` is the whole of it."""

    command: tuple[str, ...]
    uid: int = BUILDER
    network: bool = False
    directory: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)
    binds: tuple[Bind, ...] = ()


@dataclass(frozen=True)
class Output:
    """A file that a build left behind, as it lies in the build's overlay."""

    path: Path
    kind: ArtifactKind
    package: BinaryPackage | None = None


class Recipe(Protocol):
    """One package format. Stateless."""

    @property
    def version(self) -> str:
        """Changes when the recipe makes something else of the same input: part of every layer's key."""

    def read(self, directory: Path) -> PackageSource:
        """What the directory is the source of. Permanent(code="source") with the file and the cause when it is none,
        is incomplete, or does not match its checksums."""

    def is_installable(self, artifact: Artifact) -> bool:
        """True for artifacts that can be installed into a build root."""

    def without_local_packages(self, source: PackageSource, offered: Sequence[Artifact]) -> PackageSource:
        """The source with only those build dependencies that nothing on offer has a hand in: what stays the same
        when the offer changes."""

    def install(self, source: PackageSource, offered: Sequence[Path], workspace: Path, cache: Path) -> Action:
        """Installs the build dependencies, and makes the place to build in. Writes what it needs (an index of the
        `offered` packages, files of `workspace`) into `workspace`; `cache` keeps downloads between layers."""

    def explain_install(self, source: PackageSource, said: Sequence[str]) -> CloudBuilderError:
        """Why `install` failed, from its output: Permanent when a dependency cannot be had, else Retryable."""

    def installed(self) -> Action:
        """Prints what is installed in a root, one `name version architecture` a line."""

    def unpack(self, source: PackageSource) -> Action:
        """Unpacks the source to its fixed build path."""

    def build(self, source: PackageSource, cores: int) -> Action: ...

    def shell(self, source: PackageSource, cores: int) -> Action:
        """An interactive shell where `build` would run, as the same user with the same environment."""

    def error_rank(self, line: str) -> int:
        """How likely a line of the log tells why a build failed; 0: not at all. The first of the highest rank wins."""

    def collect(self, source: PackageSource, root: Path) -> tuple[Output, ...]:
        """What the build left in its overlay at `root`. Permanent(code="outputs") when that is not what it should be.

        Follows no symbolic links, and takes nothing from outside of `root`."""
