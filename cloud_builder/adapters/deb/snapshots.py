"""The directory of one repository: how snapshots lie on disk, become live, and go.

    pool/ab/abcdef…/<file>.deb     by content; added, never changed
    by-hash/SHA256/<digest>        every index of every kept snapshot
    snapshots/<number>-<digest>/   immutable: dists/<suite>/…, and `files`: what of the two above it needs
    current -> snapshots/…         the one pointer, exchanged by rename
    dists -> current/dists         so that the directory is an apt repository for any web server, and for file:

Nothing appears under its name before it is whole and on disk. What a killed writer left has a name with a leading
dot, or is in no snapshot's `files`; both are swept.
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
    """`path`: the repository's directory, made when missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._snapshots = path / "snapshots"

    def prepare(self) -> None:
        """Makes the directories and removes what a killed writer left."""
        for directory in ("pool", BY_HASH, "snapshots"):
            (self.path / directory).mkdir(parents=True, exist_ok=True)
        for place in (self.path, self._snapshots, self.path / BY_HASH):
            for leftover in place.glob(".*"):
                _remove(leftover)
        self._symlink("dists", "current/dists")
        needed = self._needed(self.names())
        pool = (str(file.relative_to(self.path)) for file in self.path.glob("pool/*/*/*"))
        self._drop(set(pool) - needed)
        self._drop({f"{BY_HASH}/{file.name}" for file in (self.path / BY_HASH).iterdir()} - needed)

    def names(self) -> list[str]:
        """All snapshots, oldest first."""
        if not self._snapshots.is_dir():
            return []
        return sorted((path.name for path in self._snapshots.iterdir() if path.name[0] != "."), key=number)

    def live(self) -> str:
        """The snapshot that `current` points at; empty: none."""
        try:
            name = (self.path / "current").readlink().name
        except (FileNotFoundError, NotADirectoryError):
            return ""
        return name if (self._snapshots / name).is_dir() else ""

    def file(self, snapshot: str, path: str) -> Path:
        return self._snapshots / snapshot / path

    def add(self, snapshot: str, texts: Mapping[str, bytes], links: Mapping[str, str], date: int) -> None:
        """Writes a snapshot. `texts`: content by path; `links`: path → file of the repository to link there.

        All texts get the modification time `date`, which readers compare (If-Modified-Since)."""
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
        """Keeps an index under its digest; returns its path in the repository."""
        path = f"{BY_HASH}/{digest}"
        if not (self.path / path).exists():
            temporary = self.path / BY_HASH / f".{digest}"
            write(temporary, content, date)
            replace_durably(temporary, self.path / path)
        return path

    def point_at(self, snapshot: str) -> None:
        """Makes a snapshot live, in one step."""
        self._symlink("current", f"snapshots/{snapshot}")
        sync_directory(self.path)

    def date(self, snapshot: str) -> int:
        """When it was published, whole seconds."""
        return int((self._snapshots / snapshot).stat().st_mtime)

    def prune(self, keep: int, before: int) -> set[str]:
        """Removes all but the live and the newest `keep` snapshots, and of the others only those that were replaced
        before that time (someone may still be reading), with what no other needs. Returns the removed files."""
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
    """A snapshot's place in the order; 0 for what is no snapshot's name."""
    digits = snapshot.partition("-")[0]
    return int(digits) if digits.isdigit() else 0


def write(path: Path, content: bytes, date: int) -> None:
    """Writes and syncs a file that all may read."""
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
