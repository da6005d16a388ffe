"""Git LFS: which files of a commit are stored outside of git, and their content by the program git-lfs.

A file is in LFS when `.gitattributes` of the commit gives it the filter `lfs` and it is a pointer; a file that only
looks like a pointer (a test of git-lfs itself) is taken as it is.

Must not: take the text of a pointer for the content of a file.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cloud_builder.errors import Rejected
from cloud_builder.model import lfs
from cloud_builder.ports.source import Entry

from .command import FETCH_SECONDS, GitRepository, environment, unreachable
from .objects import FILES, Blobs, TreeListing

_ATTRIBUTES = ".gitattributes"
_MAX_ATTRIBUTES_BYTES = 1 << 20


def is_available() -> bool:
    """Returns whether git-lfs is installed on this machine."""
    return shutil.which("git-lfs", path=environment().get("PATH")) is not None


def pointers(repository: GitRepository, revision: str, listing: TreeListing, blobs: Blobs) -> dict[str, Entry]:
    """Returns the files of a commit that are in LFS, by path."""
    if not any(_names_filter(entry, blobs) for _, entry in _attribute_files(listing)):
        return {}
    small = [path for path, entry in listing.entries.items() if entry.mode in FILES]
    found = _with_filter(repository, revision, small)
    return {path: listing.entries[path] for path in found if _is_pointer(listing.entries[path], blobs)}


def download(repository: GitRepository, url: str, path: str, pointer: bytes, into: BinaryIO) -> None:
    """Writes the content of a pointer to a file. Raises Retryable when the LFS server does not give it, Rejected(code=
    "lfs") without git-lfs."""
    if not is_available():
        raise refusal(path)
    how = {"GIT_LFS_SKIP_SMUDGE": "0"}  # Where it is 1, git-lfs would give the pointer itself.
    repository.query(url, "lfs", "smudge", "--", path, stdin=pointer, stdout=into, seconds=FETCH_SECONDS, extra=how)
    size = next(int(line.split()[1]) for line in pointer.decode().splitlines() if line.startswith("size "))
    if os.fstat(into.fileno()).st_size != size:
        raise unreachable(url, f"git-lfs gave not all of {path}")


def refusal(path: str) -> Rejected:
    """Returns the error for a file in LFS on a machine without git-lfs."""
    return Rejected(f"{path} is in Git LFS, and git-lfs is not installed", code="lfs", hint=lfs.HINT)


def _attribute_files(listing: TreeListing) -> Iterator[tuple[str, Entry]]:
    for path, entry in listing.entries.items():
        if entry.mode in FILES and (path == _ATTRIBUTES or path.endswith(f"/{_ATTRIBUTES}")):
            yield path, entry


def _names_filter(entry: Entry, blobs: Blobs) -> bool:
    return blobs.size(entry.id) <= _MAX_ATTRIBUTES_BYTES and b"filter=lfs" in blobs.read(entry.id)


def _is_pointer(entry: Entry, blobs: Blobs) -> bool:
    return blobs.size(entry.id) < lfs.MAX_POINTER_BYTES and lfs.is_pointer(blobs.read(entry.id))


def _with_filter(repository: GitRepository, revision: str, paths: list[str]) -> list[str]:
    """Returns the paths with the attribute `filter=lfs` (gitattributes(5)). git reads attributes from an index."""
    with tempfile.TemporaryDirectory() as directory:
        index = {"GIT_INDEX_FILE": str(Path(directory, "index")), "GIT_ATTR_NOSYSTEM": "1"}
        repository.git("read-tree", revision, extra=index)
        stdin = "\0".join(paths).encode(errors="surrogateescape")
        options = ("-c", "core.attributesFile=/dev/null", "check-attr", "--cached", "-z", "--stdin", "filter")
        output = repository.git(*options, stdin=stdin, extra=index).stdout
    fields = output.decode(errors="surrogateescape").split("\0")
    return [path for path, value in zip(fields[::3], fields[2::3], strict=False) if value == "lfs"]
