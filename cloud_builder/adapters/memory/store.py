"""The port `ObjectStore` in memory."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import BinaryIO

from cloud_builder.errors import Permanent
from cloud_builder.model.ids import Digest


class MemoryStore:
    """Implements ports.store.ObjectStore. Operations on dicts are atomic, so threads need no lock."""

    def __init__(self) -> None:
        self.objects: dict[Digest, bytes] = {}
        self.names: dict[str, Digest] = {}

    def put(self, path: Path) -> tuple[Digest, int]:
        content = path.read_bytes()
        digest = _digest(content)
        self.objects[digest] = content
        return digest, len(content)

    def has(self, digest: Digest) -> bool:
        return digest in self.objects

    def size(self, digest: Digest) -> int:
        return len(self._content(digest))

    def open(self, digest: Digest) -> BinaryIO:
        return io.BytesIO(self._content(digest))

    def fetch(self, digest: Digest, into: Path) -> None:
        self.verify(digest)
        into.unlink(missing_ok=True)
        into.write_bytes(self._content(digest))

    def verify(self, digest: Digest) -> None:
        if _digest(self._content(digest)) != digest:
            raise Permanent(f"object {digest} is damaged", code="object-corrupt", hint="Build what made it again.")

    def name(self, name: str, digest: Digest) -> None:
        self.names[name] = digest

    def named(self, name: str) -> Digest | None:
        return self.names.get(name)

    def _content(self, digest: Digest) -> bytes:
        try:
            return self.objects[digest]
        except KeyError:
            raise Permanent(
                f"object {digest} is not in the store", code="object-missing", hint="Build what made it again."
            ) from None


def _digest(content: bytes) -> Digest:
    return Digest(hashlib.sha256(content).hexdigest())
