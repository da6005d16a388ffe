"""Writes a directory of a commit to disk: content, modes and links; all files get the time of the commit.

The names in a commit are not trusted: nothing is written through a link, over a file, or outside of the new directory.
Attributes of git (export-ignore, line endings) do not apply: the files are written as they are in the commit.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from cloud_builder.errors import Rejected
from cloud_builder.ports.source import Entry

from .links import ExportedEntry, Link, exported_entries
from .objects import LINK, SUBMODULE, TreeListing, is_unsafe

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Copy = Callable[[str, BinaryIO], None]
"""Writes the object of an id to a file."""


def write_directory(listing: TreeListing, directory: str, into: Path, *, copy: Copy, link: Link, time: int) -> None:
    """Writes all entries below `directory` to the new or empty directory `into`. `time`: seconds since the epoch.

    Links that leave the directory are followed (see `links`). Raises Rejected for what `check_directory` refuses."""
    check_directory(listing, directory, link)
    into.mkdir(parents=True, exist_ok=True)
    directories = [into]
    try:
        for exported in exported_entries(listing, directory, link):
            _refuse_unsafe(exported)
            target = into / exported.path
            if exported.entry.is_directory:
                target.mkdir()
                directories.append(target)
                continue
            _write_entry(exported.entry, target, copy, link)
            os.utime(target, (time, time), follow_symlinks=False)
    except FileExistsError as error:
        raise Rejected(f"{error.filename}: the commit has this name twice", code="unsafe-path") from error
    for written in reversed(directories):
        os.utime(written, (time, time))


def check_directory(listing: TreeListing, directory: str, link: Link) -> None:
    """Raises Rejected for a submodule (its files are not in the commit), a name that must not be written, and a link
    that cannot be followed."""
    if not listing.special_below(directory):
        return
    for exported in exported_entries(listing, directory, link):
        _refuse_unsafe(exported)


def _write_entry(entry: Entry, target: Path, copy: Copy, link: Link) -> None:
    if entry.mode == LINK:
        target.symlink_to(link(entry.id))
        return
    mode = 0o755 if entry.mode & 0o100 else 0o644
    with os.fdopen(os.open(target, _NEW, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        copy(entry.id, file)


def _refuse_unsafe(exported: ExportedEntry) -> None:
    path, entry = exported.path, exported.entry
    if is_unsafe(path.rpartition("/")[2]):
        raise Rejected(f"{path!r}: this name is not allowed in a source", code="unsafe-path")
    if entry.mode == SUBMODULE:
        message = f"{path} is a git submodule (at {entry.id[:10]}): its files are in another repository"
        hint = (
            "Cloud Builder reads one repository for each source: commit the files themselves, e.g. by git subtree add."
        )
        raise Rejected(message, code="submodule", hint=hint)
