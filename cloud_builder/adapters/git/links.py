"""Follows the symbolic links of a commit: the files of a directory as they are exported.

A link that leaves the directory for another place of the same commit stands for the file or directory there. Links
inside the directory, absolute ones, and those that lead nowhere stay links.

Input: the listing of a commit, and a function that reads a link. Output: values; nothing is written.
Must not: follow a link out of the commit, or list a directory inside itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from cloud_builder.errors import Rejected
from cloud_builder.ports.source import Entry

from .objects import DIRECTORY, LINK, SUBMODULE, TreeListing

_MAX_LINKS = 40
"""Links on the way to one file, as in Linux (path_resolution(7))."""
_MAX_ENTRIES = 20_000
"""Files and directories that the links of one directory may bring in."""

Link = Callable[[str], str]
"""Returns the target of the link with an object id."""


@dataclass(frozen=True)
class ExportedEntry:
    """A file, directory or link of an exported directory. `origin`: where a followed link leads to in the commit."""

    path: str
    entry: Entry
    origin: str = ""


def exported_entries(listing: TreeListing, directory: str, link: Link) -> Iterator[ExportedEntry]:
    """Yields all entries below a directory, parents first, with their paths in it.

    Raises Rejected(code="broken-link") when a link leads to a directory around itself, or links bring in too much."""
    walk = _Walk(listing, link)
    yield from walk.entries(directory, "", (directory,))


def followed_links(listing: TreeListing, directory: str, link: Link) -> list[ExportedEntry]:
    """Returns the links of a directory that leave it, also those in directories that such links lead to."""
    if not listing.has_links(directory):
        return []
    return [exported for exported in exported_entries(listing, directory, link) if exported.origin]


def follow(listing: TreeListing, path: str, link: Link) -> str | None:
    """Returns where a path leads to through links of the commit ("": its top); None: nowhere in the commit."""
    done, todo, links = "", path.split("/")[::-1], 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not done:
                return None
            done = done.rpartition("/")[0]
            continue
        candidate = f"{done}/{part}" if done else part
        entry = listing.entries.get(candidate)
        if entry is None or entry.mode == SUBMODULE or (todo and entry.mode not in (LINK, DIRECTORY)):
            return None
        if entry.mode != LINK:
            done = candidate
            continue
        links += 1
        target = link(entry.id)
        if links > _MAX_LINKS or target.startswith("/"):
            return None
        todo += target.split("/")[::-1]
    return done


class _Walk:
    def __init__(self, listing: TreeListing, link: Link) -> None:
        self._listing = listing
        self._link = link
        self._brought_in = 0

    def entries(self, directory: str, prefix: str, around: tuple[str, ...]) -> Iterator[ExportedEntry]:
        """Yields the entries below `directory`. `prefix`: its path in the exported one. `around`: the directories that
        are being listed, the innermost last."""
        for path, entry in self._listing.below(directory):
            name = f"{prefix}{path}"
            if len(around) > 1:
                self._count(name)
            target = self._leaves(directory, path, entry)
            if target is None:
                yield ExportedEntry(name, entry)
                continue
            if any(_contains(target, other) for other in around):
                hint = "Link to a file or directory beside it."
                message = f"{name} is a link to {target or 'the top of the repository'}, a directory around itself"
                raise Rejected(message, code="broken-link", hint=hint)
            self._count(name)
            reached = self._listing.entries[target]
            yield ExportedEntry(name, reached, target)
            if reached.is_directory:
                yield from self.entries(target, f"{name}/", (*around, target))

    def _leaves(self, directory: str, path: str, entry: Entry) -> str | None:
        """Returns where a link leads to if it leaves the directory for another place of the commit, else None."""
        if entry.mode != LINK:
            return None
        target = self._link(entry.id)
        if target.startswith("/") or not _leaves_lexically(path, target):
            return None
        parent = str(PurePosixPath(directory, path).parent)
        return follow(self._listing, f"{parent}/{target}", self._link)

    def _count(self, name: str) -> None:
        self._brought_in += 1
        if self._brought_in > _MAX_ENTRIES:
            message = f"{name}: links of this directory lead to more than {_MAX_ENTRIES} files"
            raise Rejected(message, code="broken-link", hint="Link to single files instead of directories.")


def _leaves_lexically(path: str, target: str) -> bool:
    """Returns whether a link at `path` leaves the directory at any step; it may come back by another name."""
    depth = path.count("/")
    for part in target.split("/"):
        depth += -1 if part == ".." else part not in ("", ".")
        if depth < 0:
            return True
    return False


def _contains(directory: str, other: str) -> bool:
    return not directory or f"{other}/".startswith(f"{directory}/")
