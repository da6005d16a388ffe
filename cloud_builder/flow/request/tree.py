"""A tree of files in which units are discovered: of a commit, or of a directory on disk. Read-only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from cloud_builder.errors import Rejected
from cloud_builder.model.ids import Revision, SourceName, TreeId
from cloud_builder.model.manifest import MANIFEST
from cloud_builder.ports.source import SourceMirror

MAX_EARLIER_STATES = 50
"""Earlier commits in which a broken unit is looked for; one that was readable only before them stays unknown."""


class Tree(Protocol):
    """A tree of files. Paths are relative to its top, with `/` between the parts."""

    @property
    def top_name(self) -> str:
        """The name of the top directory if a unit may be named after it, else empty."""

    def manifests(self) -> list[str]:
        """Returns the paths of all manifests, sorted."""

    def names(self, directory: str) -> list[str]:
        """Returns the names in a directory."""

    def tree_id(self, directory: str) -> TreeId: ...

    def check(self, directory: str) -> None:
        """Raises Rejected when the files of a directory cannot be taken from git for a build."""

    def earlier(self, directories: Sequence[str]) -> Iterator[Tree]:
        """Yields earlier states of the tree, the newest first: those after which one of the directories changed."""

    def read(self, path: str, most: int) -> bytes:
        """Returns a file of at most `most` bytes. Raises Rejected, code `unknown-path` or `too-large`."""


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

    def check(self, directory: str) -> None:
        self._mirror.check(self._source, self._revision, directory)

    def earlier(self, directories: Sequence[str]) -> Iterator[Tree]:
        for revision in self._mirror.history(self._source, self._revision, directories, MAX_EARLIER_STATES):
            yield CommitTree(self._mirror, self._source, revision)

    def read(self, path: str, most: int) -> bytes:
        return self._mirror.read(self._source, self._revision, path, most)


class DirectoryTree:
    """A directory with its present files, committed or not; `.git` is left out."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    @property
    def top_name(self) -> str:
        """Empty for the top of a repository: a clone's directory may have any name, and names no unit."""
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

    def check(self, directory: str) -> None:
        """Refuses nothing: the step `source` of a build reads a working tree itself."""

    def earlier(self, directories: Sequence[str]) -> Iterator[Tree]:
        """Yields nothing: the history of a working tree is not read."""
        return iter(())

    def read(self, path: str, most: int) -> bytes:
        file = (self._root / path).resolve()
        if not file.is_file() and (self._root / path).is_symlink():
            target = (self._root / path).readlink()
            raise Rejected(f"{path} is a link to {target}, which is no file here", code="broken-link")
        if not file.is_file():
            raise Rejected(f"no file {path}", code="unknown-path")
        with file.open("rb") as opened:
            content = opened.read(most + 1)
        if len(content) > most:
            raise Rejected(f"{path}: has more than the {most} bytes that are allowed", code="too-large")
        return content


def join(directory: str, name: str) -> str:
    """Returns the path of a name in a directory; the top directory is ""."""
    return f"{directory}/{name}" if directory else name
