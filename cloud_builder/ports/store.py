"""The port to the object store: files by sha256, and names that point to them. A directory by default; S3 later."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO, Protocol

from cloud_builder.model.ids import Digest


class ObjectStore(Protocol):
    """A content-addressed store that all daemons share. Thread-safe. Objects never change; `prune` deletes old ones.

    Raises Retryable if the store cannot be reached or is full, Permanent(code="object-missing") for an unknown
    digest, and Permanent(code="object-corrupt") if the content does not match its digest."""

    def put(self, path: Path) -> tuple[Digest, int]:
        """Stores a copy of a file; returns its digest and its size in bytes. A known file costs only the hash.

        It counts as a use of the object."""

    def has(self, digest: Digest) -> bool:
        """Returns True if the store has the object."""

    def size(self, digest: Digest) -> int:
        """Returns the size of an object in bytes."""

    def open(self, digest: Digest) -> BinaryIO:
        """Opens an object for reading, without verifying it."""

    def fetch(self, digest: Digest, into: Path) -> None:
        """Writes the object to the file `into` (a hard link where that is safe), and verifies it."""

    def verify(self, digest: Digest) -> None:
        """Reads the whole object and compares its digest."""

    def touch(self, digest: Digest) -> bool:
        """Counts as a use of an object, so that `prune` keeps it. Returns False if this process may not; a missing
        object is no error."""

    def prune(self, prefix: str, before: float, keep: Collection[str]) -> int:
        """Deletes the objects that were last used before that time; returns the bytes that this frees.

        `prefix`: two hexadecimal digits, with which the digests begin. Objects in `keep`, and those that a name points
        to, stay."""

    def name(self, name: str, digest: Digest) -> None:
        """Points a name (`buildroot/<key>`) to an object, atomically; overwrites."""

    def named(self, name: str) -> Digest | None:
        """Returns the object that a name points to; None: no such name."""
