"""Manages the directory of one repository: writes snapshots, makes one live, prunes old ones.

    pool/ab/abcdef…/<file>.deb     by digest; added, never changed
    by-hash/SHA256/<digest>        every index of every kept snapshot
    snapshots/<number>-<digest>/   immutable: dists/<suite>/…, and `files`: the files of the two above that it needs
    current -> snapshots/…         the pointer to the live one, replaced by rename
    dists -> current/dists         makes the directory an apt repository for any web server, and for file: URIs

A file gets its name only when it is complete and synced to disk. Leftovers of a killed writer have a name with a
leading dot, or are in no snapshot's `files`; `prepare` removes both.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from cloud_builder.files.durable import replace_durably, sync_directory, sync_file

FILES = "files"
BY_HASH = "by-hash/SHA256"


class Snapshots:
    """The snapshots below `path`, the directory of a repository; made when missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._snapshots = path / "snapshots"

    def prepare(self) -> None:
        """Makes the directories, and removes leftovers of a killed writer."""
        for directory in ("pool", BY_HASH, "snapshots"):
            (self.path / directory).mkdir(parents=True, exist_ok=True)
        for parent in (self.path, self._snapshots, self.path / BY_HASH):
            for leftover in parent.glob(".*"):
                _remove(leftover)
        self._symlink("dists", "current/dists")
        needed = self._needed(self.names())
        pool = (str(file.relative_to(self.path)) for file in self.path.glob("pool/*/*/*"))
        self._drop(set(pool) - needed)
        self._drop({f"{BY_HASH}/{file.name}" for file in (self.path / BY_HASH).iterdir()} - needed)

    def names(self) -> list[str]:
        """Returns the names of all snapshots, oldest first."""
        if not self._snapshots.is_dir():
            return []
        return sorted((path.name for path in self._snapshots.iterdir() if path.name[0] != "."), key=number)

    def live(self) -> str:
        """Returns the name of the live snapshot; empty: none."""
        try:
            name = (self.path / "current").readlink().name
        except (FileNotFoundError, NotADirectoryError):
            return ""
        return name if (self._snapshots / name).is_dir() else ""

    def file(self, snapshot: str, path: str) -> Path:
        return self._snapshots / snapshot / path

    def add(self, snapshot: str, texts: Mapping[str, bytes], links: Mapping[str, str], date: int) -> None:
        """Writes a snapshot. `texts`: content by path. `links`: path → file of the repository that is linked there.

        All texts get the modification time `date`, which clients compare (If-Modified-Since).
        """
        new = self._snapshots / f".{snapshot}"
        _remove(new)
        for path, target in links.items():
            self._link(new / path, self.path / target)
        for path, content in texts.items():
            write(new / path, content, date)
        for directory, _, _ in os.walk(new):
            sync_directory(Path(directory))
        os.utime(new, (date, date))
        new.rename(self._snapshots / snapshot)
        sync_directory(self._snapshots)

    def add_index(self, digest: str, content: bytes, date: int) -> str:
        """Stores an index under its digest. Returns its path in the repository."""
        path = f"{BY_HASH}/{digest}"
        if not (self.path / path).exists():
            temporary = self.path / BY_HASH / f".{digest}"
            write(temporary, content, date)
            replace_durably(temporary, self.path / path)
        return path

    def point_at(self, snapshot: str) -> None:
        """Makes a snapshot the live one, atomically."""
        self._symlink("current", f"snapshots/{snapshot}")
        sync_directory(self.path)

    def date(self, snapshot: str) -> int:
        """Returns when the snapshot was published: whole seconds since the epoch."""
        return int((self._snapshots / snapshot).stat().st_mtime)

    def prune(self, keep: int, before: int) -> set[str]:
        """Removes old snapshots and the files that no other snapshot needs. Returns the removed files.

        The live one and the newest `keep` stay; of the others those stay that were replaced at `before` or later,
        because clients may still read them.
        """
        names, live = self.names(), self.live()
        replaced_by = dict(pairwise(names))
        gone = [name for name in names[:-keep] if name != live and self.date(replaced_by[name]) < before]
        if not gone:
            return set()
        dropped = self._needed(gone) - self._needed(set(names) - set(gone))
        for name in gone:
            hidden = self._snapshots / f".{name}"
            (self._snapshots / name).rename(hidden)
            _remove(hidden)
        self._drop(dropped)
        return dropped

    def _needed(self, names: Iterable[str]) -> set[str]:
        return {path for name in names for path in self.file(name, FILES).read_text().split("\n")}

    def _drop(self, paths: Iterable[str]) -> None:
        for path in filter(None, paths):
            file = self.path / path
            file.unlink(missing_ok=True)
            if path.startswith("pool/"):
                with suppress(OSError):
                    file.parent.rmdir()
                    file.parent.parent.rmdir()

    def _link(self, path: Path, target: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            path.symlink_to(os.path.relpath(target, path.parent))
        else:
            path.hardlink_to(target)

    def _symlink(self, name: str, target: str) -> None:
        link, temporary = self.path / name, self.path / f".{name}"
        if link.is_symlink() and str(link.readlink()) == target:
            return
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.rename(link)


def number(snapshot: str) -> int:
    """Returns the number of a snapshot; 0 for a name that is not a snapshot's."""
    digits = snapshot.partition("-")[0]
    return int(digits) if digits.isdigit() else 0


def write(path: Path, content: bytes, date: int) -> None:
    """Writes a file durably, readable by all; `date` is its time of modification."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        sync_file(file)
    path.chmod(0o644)
    os.utime(path, (date, date))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
