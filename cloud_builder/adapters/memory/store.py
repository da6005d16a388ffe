"""The port `ObjectStore` in memory."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from cloud_builder.errors import Permanent
from cloud_builder.model.ids import Digest


class MemoryStore:
    """Implements ports.store.ObjectStore. Operations on dicts are atomic, so threads need no lock."""

    def __init__(self) -> None:
        self.objects: dict[Digest, bytes] = {}
        self.names: dict[str, Digest] = {}
        self.used_at: dict[Digest, float] = {}

    def put(self, path: Path) -> tuple[Digest, int]:
        content = path.read_bytes()
        digest = _digest(content)
        self.objects[digest] = content
        self.touch(digest)
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

    def touch(self, digest: Digest) -> bool:
        self.used_at[digest] = time.time()
        return True

    def prune(self, prefix: str, before: float, keep: Collection[str]) -> int:
        kept = {*keep, *self.names.values()}
        old = [
            digest
            for digest in self.objects
            if digest.startswith(prefix) and digest not in kept and self.used_at.get(digest, 0.0) < before
        ]
        return sum(len(self.objects.pop(digest)) for digest in old)

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
