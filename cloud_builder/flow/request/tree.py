"""A tree of files that units are discovered in: that of a commit, or a directory on disk. Read-only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from cloud_builder.errors import Rejected
from cloud_builder.model.ids import Revision, SourceName, TreeId
from cloud_builder.model.manifest import MANIFEST
from cloud_builder.ports.source import SourceMirror


class Tree(Protocol):
    """Paths are relative to the top, parts divided by `/`."""

    @property
    def top_name(self) -> str:
        """What the top is called, where that means something; else empty."""

    def manifests(self) -> list[str]:
        """Paths of all manifests, sorted."""

    def names(self, directory: str) -> list[str]:
        """What lies in a directory."""

    def tree_id(self, directory: str) -> TreeId: ...

    def read(self, path: str, most: int) -> bytes:
        """Raises Rejected, code `unknown-path` or `too-large`."""


class CommitTree:
    """The tree of a commit in a mirror."""

    top_name = ""

    def __init__(self, mirror: SourceMirror, source: SourceName, revision: Revision) -> None:
        self._mirror = mirror
        self._source = source
        self._revision = revision

    def manifests(self) -> list[str]:
        found = self._mirror.find_files(self._source, self._revision, MANIFEST)
        return [path for path in found if path == MANIFEST or path.endswith(f"/{MANIFEST}")]

    def names(self, directory: str) -> list[str]:
        return [entry.name for entry in self._mirror.entries(self._source, self._revision, directory)]

    def tree_id(self, directory: str) -> TreeId:
        return self._mirror.tree_id(self._source, self._revision, directory)

    def read(self, path: str, most: int) -> bytes:
        return self._mirror.read(self._source, self._revision, path, most)


class DirectoryTree:
    """A directory with all that lies in it now, committed or not; `.git` is left out."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    @property
    def top_name(self) -> str:
        """A clone may be called anything; a unit's own directory may not."""
        return "" if (self._root / ".git").exists() else self._root.name

    def manifests(self) -> list[str]:
        return sorted(self._walk())

    def _walk(self) -> Iterator[str]:
        for directory, inner, _ in os.walk(self._root):
            inner[:] = [name for name in inner if name != ".git"]
            if (Path(directory) / MANIFEST).is_file():
                yield str((Path(directory) / MANIFEST).relative_to(self._root))

    def names(self, directory: str) -> list[str]:
        return sorted(entry.name for entry in (self._root / directory).iterdir())

    def tree_id(self, directory: str) -> TreeId:
        return TreeId("")

    def read(self, path: str, most: int) -> bytes:
        file = (self._root / path).resolve()
        if not file.is_file() and (self._root / path).is_symlink():
            to = (self._root / path).readlink()
            raise Rejected(f"{path} is a link to {to}, which is no file here", code="broken-link")
        if not file.is_file():
            raise Rejected(f"no file {path}", code="unknown-path")
        with file.open("rb") as opened:
            content = opened.read(most + 1)
        if len(content) > most:
            raise Rejected(f"{path}: has more than the {most} bytes that are allowed", code="too-large")
        return content
