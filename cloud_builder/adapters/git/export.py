"""Writes a directory of a commit to disk: content, modes and links; all files get the time of the commit.

The names in a commit are not trusted: nothing is written through a link, over a file, or outside of the new directory.
Attributes of git (export-ignore, line endings) do not apply: the files are written as they are in the commit.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from cloud_builder.errors import Rejected
from cloud_builder.ports.source import Entry

from .objects import TreeListing

FILES = (0o100644, 0o100755, 0o100664)
LINK = 0o120000
SUBMODULE = 0o160000
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Copy = Callable[[str, BinaryIO], None]
"""Writes the object of an id to a file."""

Link = Callable[[str], str]
"""Returns the target of the link with an object id."""


def write_directory(listing: TreeListing, directory: str, into: Path, *, copy: Copy, link: Link, time: int) -> None:
    """Writes all entries below `directory` to the new or empty directory `into`. `time`: seconds since the epoch.

    A link in `.cb/` that leaves the unit becomes the file that it points at, so that units may share one
    build_root.kiwi. Other links are written as links. Raises Rejected(code="submodule") for a submodule: its files
    are not in the commit."""
    into.mkdir(parents=True, exist_ok=True)
    directories = [into]
    try:
        for path, entry in listing.below(directory):
            _refuse_unsafe(path)
            target = into / path
            if entry.mode == SUBMODULE:
                raise _submodule_error(path, entry)
            if entry.is_directory:
                target.mkdir()
                directories.append(target)
                continue
            shared = _shared_file(listing, directory, path, entry, link)
            _write_entry(shared or entry, target, copy, link)
            os.utime(target, (time, time), follow_symlinks=False)
    except FileExistsError as error:
        raise Rejected(f"{error.filename}: the commit has this name twice", code="unsafe-path") from error
    for written in reversed(directories):
        os.utime(written, (time, time))


def _write_entry(entry: Entry, target: Path, copy: Copy, link: Link) -> None:
    if entry.mode == LINK:
        target.symlink_to(link(entry.id))
        return
    mode = 0o755 if entry.mode & 0o100 else 0o644
    with os.fdopen(os.open(target, _NEW, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        copy(entry.id, file)


def _submodule_error(path: str, entry: Entry) -> Rejected:
    message = f"{path} is a git submodule (at {entry.id[:10]}): its files are in another repository"
    hint = "Cloud Builder reads one repository for each source: commit the files themselves, e.g. by git subtree add."
    return Rejected(message, code="submodule", hint=hint)


def _refuse_unsafe(path: str) -> None:
    name = path.rpartition("/")[2]
    if name in ("", ".", "..") or name.lower() == ".git":
        raise Rejected(f"{path!r}: this name is not allowed in a source", code="unsafe-path")


def _shared_file(listing: TreeListing, directory: str, path: str, entry: Entry, link: Link) -> Entry | None:
    """Returns the file that a link in `.cb/` points at, if that file is in the commit but outside of the unit."""
    if entry.mode != LINK or not path.startswith(".cb/"):
        return None
    found = follow(listing, str(PurePosixPath(directory, path)), link)
    return listing.entries[found] if found and not found.startswith(f"{directory}/") else None


def follow(listing: TreeListing, path: str, link: Link) -> str | None:
    """Returns the file that a path leads to through links inside the commit; None when it leads to no file."""
    for _ in range(10):
        entry = listing.entries.get(path)
        if entry is None or entry.is_directory or entry.mode == SUBMODULE:
            return None
        if entry.mode != LINK:
            return path
        target = link(entry.id)
        joined = os.path.normpath(PurePosixPath(path).parent / target)
        if target.startswith("/") or joined.startswith(".."):
            return None
        path = joined
    return None
