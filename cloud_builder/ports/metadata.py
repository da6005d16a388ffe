"""The port to what a unit's own packaging says: which binaries it makes, and what it needs to be built.

One reader a packaging format (deb; rpm and KIWI descriptions follow). A reader gets names and a way to read, never a
directory: the unit may lie in a commit or in a working tree.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cloud_builder.errors import Rejected
from cloud_builder.model.ids import Digest

Read = Callable[[str], bytes]
"""The content of a file of the unit by its path in it; raises Rejected when there is none or it is too large."""


@dataclass(frozen=True)
class Metadata:
    """`build_depends` in the syntax of its format, all fields that count for a build joined (see model.unit.Unit).

    `version`: of the packages, as far as it is known before they are built. `virtual`: see model.unit.Unit."""

    provides: tuple[str, ...]
    build_depends: str
    version: str = ""
    virtual: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class BrokenMetadata(Rejected):
    """The packaging cannot be read. `file` is relative to the unit; `line` counts from 1, 0: not known."""

    def __init__(self, message: str, *, file: str, line: int = 0, hint: str = "") -> None:
        super().__init__(message, code="broken-metadata", hint=hint)
        self.file = file
        self.line = line


class MetadataReader(Protocol):
    """Reads one packaging format."""

    @property
    def expects(self) -> str:
        """What a unit of this format has, in words for a hint: `debian/control or a *.dsc`."""

    def applies(self, names: Collection[str]) -> bool:
        """True when a unit with these names at its top is of this format."""

    def read(self, names: Collection[str], read: Read) -> Metadata:
        """Raises BrokenMetadata, and whatever `read` raises."""


class RepositoryStates(Protocol):
    """The state of the package repositories that a build root is made from. Thread-safe."""

    def state(self, build_root: bytes, profiles: Collection[str]) -> Digest:
        """Digest over the metadata of all repositories that the KIWI description names for these profiles.

        May use the network for some seconds. Never blocks a build for long: a repository that cannot be read counts
        with its last known state, or as unknown. Raises Permanent when the description is broken or lacks a profile."""
