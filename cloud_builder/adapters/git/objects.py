"""Reads the tree of a commit, and the content of its files, from a bare repository.

One `git ls-tree` for each commit and one long-lived `git cat-file` for each repository: 500 manifests do not need 500
processes.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import BinaryIO, Protocol

from cloud_builder.errors import Retryable
from cloud_builder.ports.source import Entry

from .command import GitRepository, environment

FILES = (0o100644, 0o100755, 0o100664)
DIRECTORY, LINK, SUBMODULE = 0o040000, 0o120000, 0o160000
"""Modes of git (git-fast-import(1))."""
_MAX_LINK_BYTES = 4095
_POLL_INTERVAL = 0.05
"""Seconds until a cancel is noticed while another thread reads."""


@dataclass(frozen=True)
class TreeListing:
    """All files and directories of a commit by path; the path of the top is ""."""

    entries: dict[str, Entry]
    children: dict[str, list[Entry]] = field(default_factory=dict)
    special: list[str] = field(default_factory=list)
    """Links, submodules and names that are not allowed, sorted."""

    def special_below(self, directory: str) -> list[str]:
        """Returns the paths of `special` below a directory."""
        if not directory:
            return self.special
        return self.special[bisect_left(self.special, f"{directory}/") : bisect_left(self.special, f"{directory}0")]

    def has_links(self, directory: str) -> bool:
        return any(self.entries[path].mode == LINK for path in self.special_below(directory))

    def below(self, directory: str) -> Iterator[tuple[str, Entry]]:
        """Yields all entries below a directory, parents first, with their paths relative to it."""
        for entry in self.children.get(directory, ()):
            yield entry.name, entry
            if entry.is_directory:
                inner = f"{directory}/{entry.name}" if directory else entry.name
                for path, descendant in self.below(inner):
                    yield f"{entry.name}/{path}", descendant


def list_tree(repository: GitRepository, tree: str) -> TreeListing:
    """Lists a tree object. Names that are not UTF-8 carry surrogates (os.fsdecode)."""
    output = repository.git("ls-tree", "-r", "-t", "-z", "--full-tree", tree).stdout
    listing = TreeListing({"": Entry("", 0o040000, tree)}, {"": []})
    for line in output.split(b"\0"):
        if not line:
            continue
        fields, _, name = line.partition(b"\t")
        mode, _kind, identity = fields.split(b" ")
        path = name.decode(errors="surrogateescape")
        parent, _, last = path.rpartition("/")
        entry = Entry(last, int(mode, 8), identity.decode())
        listing.entries[path] = entry
        listing.children.setdefault(parent, []).append(entry)
        if entry.mode in (LINK, SUBMODULE) or is_unsafe(last):
            listing.special.append(path)
    listing.special.sort()
    return listing


def is_unsafe(name: str) -> bool:
    """Returns whether a name must not be written to disk."""
    return name in ("", ".", "..") or name.lower() == ".git"


class _ObjectStream(Protocol):
    size: int

    def read(self, size: int = -1) -> bytes: ...


class Blobs:
    """The content of files by object id. Thread-safe; threads take turns, because they share one `git cat-file`."""

    def __init__(self, repository: Path) -> None:
        self._git = _git_command(repository)
        self._git.update_environment(**environment(), GIT_DIR=str(repository))
        self._lock = Lock()

    def size(self, identity: str) -> int:
        """Returns the size of an object in bytes."""
        with self._lock:
            return int(self._answer(self._git.get_object_header, identity)[2])

    def read(self, identity: str) -> bytes:
        with self._lock:
            return bytes(self._answer(self._git.get_object_data, identity)[3])

    def link(self, identity: str) -> str:
        """Returns the target of a symbolic link; "/" (no file of the commit) when it is too long for a link."""
        return os.fsdecode(self.read(identity)) if self.size(identity) <= _MAX_LINK_BYTES else "/"

    def copy(self, identity: str, into: BinaryIO, piece_bytes: int = 1 << 20, cancel: Event | None = None) -> None:
        """Writes an object to a file in pieces. Raises Retryable(code="canceled") after `cancel` was set."""
        with self._pinned(identity, cancel):
            stream: _ObjectStream = self._answer(self._git.stream_object_data, identity)[3]
            while piece := stream.read(piece_bytes):
                into.write(piece)
                if cancel is not None and cancel.is_set():
                    # The destructor of a stream reads the rest of the object. Once the program is killed, the rest is
                    # only what the pipe contains.
                    if (cat_file := self._git.cat_file_all) is not None:
                        cat_file.kill()
                    del stream
                    self._git.clear_cache()
                    raise _canceled(identity)

    def close(self) -> None:
        with self._lock:
            self._git.clear_cache()

    @contextmanager
    def _pinned(self, identity: str, cancel: Event | None) -> Iterator[None]:
        while not self._lock.acquire(timeout=-1 if cancel is None else _POLL_INTERVAL):
            if cancel is not None and cancel.is_set():
                raise _canceled(identity)
        try:
            if cancel is not None and cancel.is_set():
                raise _canceled(identity)
            yield
        finally:
            self._lock.release()

    def _answer(self, query, identity: str):  # type: ignore[no-untyped-def]  # GitPython returns tuples without types
        try:
            return self._request(query, identity)
        except Retryable:  # git cat-file had ended; try once with a new process
            return self._request(query, identity)

    def _request(self, query, identity: str):  # type: ignore[no-untyped-def]
        try:
            return query(identity)
        except (ValueError, OSError) as error:
            self._git.clear_cache()
            hint = "The mirror is refreshed and read again; if the error stays, delete the mirror."
            raise Retryable(f"git object {identity}: {error}", code="object-unreadable", hint=hint) from error


def _git_command(repository: Path):  # type: ignore[no-untyped-def]  # GitPython's types need its import
    """Returns GitPython's command object, which accepts ids of both object formats."""
    import git  # The import already searches for the program git.

    class Git(git.Git):
        def _parse_object_header(self, header_line: str) -> tuple[str, str, int]:
            """Returns id, type and size. GitPython itself rejects the longer ids of the object format sha256."""
            fields = header_line.split()
            if len(fields) != 3:
                raise ValueError(f"git cat-file: {header_line.strip() or 'no answer'}")
            return fields[0], fields[1], int(fields[2])

    return Git(str(repository))


def _canceled(identity: str) -> Retryable:
    return Retryable(f"reading git object {identity}: was canceled", code="canceled")
