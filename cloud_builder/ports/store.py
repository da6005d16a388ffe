"""The port to the object store: files by sha256, and names that point at them. A directory by default; S3 later."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Protocol

from cloud_builder.model.ids import Digest


class ObjectStore(Protocol):
    """Content-addressed, append-only, shared by all daemons. Thread-safe.

    Raises Retryable when the store cannot be reached or is full, Permanent(code="object-missing") for an unknown
    digest and Permanent(code="object-corrupt") when content does not match its digest."""

    def put(self, path: Path) -> tuple[Digest, int]:
        """Stores a file (copy); returns digest and size. Storing what is there already costs only the hash."""

    def has(self, digest: Digest) -> bool: ...

    def size(self, digest: Digest) -> int: ...

    def open(self, digest: Digest) -> BinaryIO:
        """For reading; not verified."""

    def fetch(self, digest: Digest, into: Path) -> None:
        """Writes the object to the file `into` (a hard link where that is safe), verified."""

    def verify(self, digest: Digest) -> None:
        """Reads the whole object and compares."""

    def name(self, name: str, digest: Digest) -> None:
        """Points a name (`buildroot/<key>`) at an object, atomically; overwrites."""

    def named(self, name: str) -> Digest | None: ...
