"""The tree of a commit, and the content of its files, out of a bare repository.

One `git ls-tree` a commit and one long-lived `git cat-file` a repository: 500 manifests are not 500 processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import BinaryIO, Protocol

from cloud_builder.errors import Retryable
from cloud_builder.ports.source import Entry

from .command import GitRepository, environment

_LONGEST_LINK = 4095
_LOOK = 0.05
"""Seconds between two looks at a lock that somebody else holds."""


@dataclass(frozen=True)
class TreeListing:
    """Every file and directory of a commit by its path; the top is ""."""

    entries: dict[str, Entry]
    children: dict[str, list[Entry]] = field(default_factory=dict)

    def below(self, directory: str) -> Iterator[tuple[str, Entry]]:
        """Everything under a directory, parents first, with its path relative to that directory."""
        for entry in self.children.get(directory, ()):
            yield entry.name, entry
            if entry.is_directory:
                inner = f"{directory}/{entry.name}" if directory else entry.name
                for path, deeper in self.below(inner):
                    yield f"{entry.name}/{path}", deeper


def list_tree(repository: GitRepository, tree: str) -> TreeListing:
    """Lists a tree object. Names that are not UTF-8 carry surrogates (os.fsdecode)."""
    output = repository.git("ls-tree", "-r", "-t", "-z", "--full-tree", tree).stdout
    listing = TreeListing({"": Entry("", 0o040000, tree)}, {"": []})
    for line in output.split(b"\0"):
        if not line:
            continue
        about, _, name = line.partition(b"\t")
        mode, _kind, identity = about.split(b" ")
        path = name.decode(errors="surrogateescape")
        parent, _, last = path.rpartition("/")
        entry = Entry(last, int(mode, 8), identity.decode())
        listing.entries[path] = entry
        listing.children.setdefault(parent, []).append(entry)
    return listing


class _ObjectStream(Protocol):
    size: int

    def read(self, size: int = -1) -> bytes: ...


class Blobs:
    """Content of files by object id. Thread-safe: one at a time, because all share one `git cat-file`."""

    def __init__(self, repository: Path) -> None:
        import git  # looks for the program when imported

        self._git = git.Git(str(repository))
        self._git.update_environment(**environment(), GIT_DIR=str(repository))
        self._lock = Lock()

    def size(self, identity: str) -> int:
        """Bytes of an object."""
        with self._lock:
            return int(self._answer(self._git.get_object_header, identity)[2])

    def read(self, identity: str) -> bytes:
        with self._lock:
            return bytes(self._answer(self._git.get_object_data, identity)[3])

    def link(self, identity: str) -> str:
        """Where a symbolic link points; "/" (which leads nowhere) when it is too long to be one."""
        return os.fsdecode(self.read(identity)) if self.size(identity) <= _LONGEST_LINK else "/"

    def copy(self, identity: str, into: BinaryIO, chunk: int = 1 << 20, cancel: Event | None = None) -> None:
        """Writes an object to a file without holding it in memory. Retryable(code="canceled")."""
        with self._pinned(identity, cancel):
            stream: _ObjectStream = self._answer(self._git.stream_object_data, identity)[3]
            while piece := stream.read(chunk):
                into.write(piece)
                if cancel is not None and cancel.is_set():
                    # Before a stream goes it reads its rest: without the program that is what lies in the pipe.
                    if (reading := self._git.cat_file_all) is not None:
                        reading.kill()
                    del stream
                    self._git.clear_cache()
                    raise _canceled(identity)

    def close(self) -> None:
        with self._lock:
            self._git.clear_cache()

    @contextmanager
    def _pinned(self, identity: str, cancel: Event | None) -> Iterator[None]:
        while not self._lock.acquire(timeout=-1 if cancel is None else _LOOK):
            if cancel is not None and cancel.is_set():
                raise _canceled(identity)
        try:
            if cancel is not None and cancel.is_set():
                raise _canceled(identity)
            yield
        finally:
            self._lock.release()

    def _answer(self, ask, identity: str):  # type: ignore[no-untyped-def]  # GitPython's answers are tuples of its own
        try:
            return self._request(ask, identity)
        except Retryable:  # the reading process had ended; a new one is asked once
            return self._request(ask, identity)

    def _request(self, ask, identity: str):  # type: ignore[no-untyped-def]
        try:
            return ask(identity)
        except (ValueError, OSError) as error:
            self._git.clear_cache()
            hint = "The mirror will be refreshed; when this stays, delete it."
            raise Retryable(f"git object {identity}: {error}", code="object-unreadable", hint=hint) from error


def _canceled(identity: str) -> Retryable:
    return Retryable(f"reading git object {identity}: was canceled", code="canceled")
