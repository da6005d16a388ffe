"""The port to a unit's packaging: which binary packages it makes, and what it needs to be built.

Each packaging format has its reader (deb; rpm and KIWI descriptions follow). A reader gets file names and a function
that reads a file, never a directory: the unit may be in a commit or in a working tree.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cloud_builder.errors import Rejected
from cloud_builder.model.ids import Digest

Read = Callable[[str], bytes]
"""Returns the content of a file by its path in the unit; raises Rejected if it is missing or too large."""


@dataclass(frozen=True)
class Metadata:
    """The metadata of a unit.

    `provides`: the binary packages that it makes.
    `build_depends`: in the syntax of its format, all fields that count for a build joined (see model.unit.Unit).
    `version`: of the packages, as far as it is known before they are built.
    `virtual`, `runtime_depends`: see model.unit.Unit.
    `architectures`: for each binary package the architectures that its packaging names; empty: it names none."""

    provides: tuple[str, ...]
    build_depends: str
    version: str = ""
    virtual: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    runtime_depends: Mapping[str, str] = field(default_factory=dict)
    architectures: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class BrokenMetadata(Rejected):
    """An error in a unit's packaging. `file` is relative to the unit; `line` counts from 1 (0: not known)."""

    def __init__(self, message: str, *, file: str, line: int = 0, hint: str = "") -> None:
        super().__init__(message, code="broken-metadata", hint=hint)
        self.file = file
        self.line = line


class MetadataReader(Protocol):
    """A reader of one packaging format."""

    @property
    def expects(self) -> str:
        """The files that a unit of this format has, as a hint for people: `debian/control or a *.dsc`."""

    def applies(self, names: Collection[str]) -> bool:
        """Returns True if a unit with these names in its top directory is of this format."""

    def read(self, names: Collection[str], read: Read) -> Metadata:
        """Returns the metadata. Raises BrokenMetadata; errors of `read` pass through."""

    def package_names(self, names: Collection[str], read: Read) -> tuple[str, ...]:
        """Returns the binary packages of packaging that has an error, as far as they can be read."""


class RepositoryStates(Protocol):
    """The state of the package repositories that a build root is made from. Thread-safe."""

    def state(self, build_root: bytes, profiles: Collection[str]) -> Digest:
        """Returns a digest of the metadata of all repositories that the KIWI description names for these profiles.

        May use the network for some seconds, but never delays a build for long: a repository that cannot be read
        counts with its last known state, or as unknown. Raises Permanent if the description is broken or lacks a
        profile."""

    def unverified(self, build_root: bytes, profiles: Collection[str]) -> tuple[str, ...]:
        """Returns the addresses of the repositories whose signatures the description says not to check.

        Without network. Raises as `state`."""
