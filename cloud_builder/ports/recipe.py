"""The port to a package format: how a source of that format becomes packages.

A recipe reads sources and the output of tools, and returns the programs to run in a build root as values; the builder's
pipeline runs them.

Must not: run anything of a source on the machine itself; know of jobs, runners or stores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cloud_builder.errors import CloudBuilderError
from cloud_builder.model.artifact import Artifact, ArtifactKind, BinaryPackage
from cloud_builder.model.rebuild import Rebuild

from .sandbox import Bind

BUILDER = 1000
"""User and group id that builds run as."""


@dataclass(frozen=True)
class PackageSource:
    """A source package in a directory.

    `form`: the format's own term for how the source is packed.
    `files`: the names of the archives that belong to it, without a directory.
    `build_depends`: its relation fields as (field, value on one line).
    `epoch`: the time of its last change in seconds since the epoch; None: known only after unpacking.
    `profiles`, `build_options`: the build profiles and build options to build it with.
    `rebuild`: the rebuild number to build it with; None: as its changelog says."""

    name: str
    version: str
    directory: Path
    form: str
    files: tuple[str, ...] = ()
    build_depends: tuple[tuple[str, str], ...] = ()
    epoch: int | None = None
    profiles: tuple[str, ...] = ()
    build_options: tuple[str, ...] = ()
    rebuild: Rebuild | None = None

    @property
    def built_version(self) -> str:
        """The version with the rebuild suffix, if the number is for this version."""
        is_meant = self.rebuild is not None and self.rebuild.version == self.version
        return self.rebuild.built_version if self.rebuild is not None and is_meant else self.version


@dataclass(frozen=True)
class Action:
    """A program to run in a build root. `uid` 0 is root inside only; `environment` is the whole environment."""

    command: tuple[str, ...]
    uid: int = BUILDER
    network: bool = False
    directory: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)
    binds: tuple[Bind, ...] = ()


@dataclass(frozen=True)
class Output:
    """A file that a build made. `path` is in the build's overlay."""

    path: Path
    kind: ArtifactKind
    package: BinaryPackage | None = None


class Recipe(Protocol):
    """A package format. Stateless."""

    @property
    def version(self) -> str:
        """A version that changes whenever the recipe treats the same input differently: part of each layer's key."""

    def read(self, directory: Path) -> PackageSource:
        """Returns the source package in the directory.

        Raises Permanent(code="source") with the file and the cause if there is none, if it is incomplete, or if it
        does not match its checksums."""

    def is_installable(self, artifact: Artifact) -> bool:
        """Returns True for artifacts that can be installed into a build root."""

    def without_local_packages(self, source: PackageSource, packages: Sequence[Artifact]) -> PackageSource:
        """Returns the source with only the build dependencies that none of `packages` takes part in.

        These dependencies stay the same when `packages` changes."""

    def install(self, source: PackageSource, packages: Sequence[Path], workspace: Path, cache: Path) -> Action:
        """Installs the build dependencies, and makes the build directory.

        Writes what the action needs into `workspace` (an index of `packages`, further files). `cache` keeps
        downloads between layers."""

    def explain_install(self, source: PackageSource, output: Sequence[str]) -> CloudBuilderError:
        """Returns why `install` failed, from its output: Permanent if a dependency is not available, else Retryable."""

    def installed(self) -> Action:
        """Prints the packages that are installed in a root, one `name version architecture` a line."""

    def unpack(self, source: PackageSource) -> Action:
        """Unpacks the source to its fixed build path."""

    def build(self, source: PackageSource, cores: int) -> Action:
        """Builds the unpacked source, under its `built_version`."""

    def shell(self, source: PackageSource, cores: int) -> Action:
        """Runs an interactive shell where `build` would run, as the same user with the same environment."""

    def packages_to_test(
        self, source: PackageSource, outputs: Sequence[Output], names: Sequence[str]
    ) -> tuple[Output, ...]:
        """Returns the built packages with these names, to be installed for a test; without names all of them.

        Raises Permanent(code="test-install") for a name that the build did not make."""

    def install_built(self, packages: Sequence[Path], offered: Sequence[Path], workspace: Path, cache: Path) -> Action:
        """Installs built packages, for a test; other packages of this mesh that may be installed are `offered`.

        All files are below `workspace`, and what the action needs is written there. `cache` keeps downloads."""

    def explain_install_built(self, source: PackageSource, output: Sequence[str]) -> CloudBuilderError:
        """Returns why `install_built` failed: Permanent if a dependency is not available, else Retryable."""

    def test_command(self, source: PackageSource, text: str) -> Action:
        """Runs a test command of the manifest as root, in the unit's directory (read-only), without a network."""

    def error_rank(self, line: str) -> int:
        """Returns how likely a log line has the cause of a failure; 0: not. The first line of the highest rank wins."""

    def collect(self, source: PackageSource, root: Path, build_root: Path) -> tuple[Output, ...]:
        """Returns the files that the build made in its overlay at `root`.

        `build_root`: the root below; the package lists in it say what the distribution has.
        Raises Permanent(code="outputs") if they are not what the source should make. Follows no symbolic links, and
        takes only files that were made in `root`, or that belong to the source."""
