"""Base roots of this machine: made once per description and repository state, and shared through the object store.

Comes in: a build_root.kiwi, its profile, and the state of the repositories it names. Goes out: a directory to build on.
What is unpacked here is used; what the store has is fetched; only what nobody has is made, packed and named there.

    roots/<key>/root   ready, the lowest layer of builds    roots/.new-<key>-…   being made or unpacked
    roots/.lock-<key>  held by whoever makes it

A root is not evicted as long as the `Buildroot` that names it lives.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Event

from cloud_builder.errors import CloudBuilderError, Permanent
from cloud_builder.files import directories
from cloud_builder.files.locks import exclusive_lock
from cloud_builder.model.ids import Digest
from cloud_builder.ports.buildroot import Buildroot, RootMaker
from cloud_builder.ports.sandbox import Sandbox
from cloud_builder.ports.store import ObjectStore

from .build_log import raise_canceled

MAX_ROOTS = 4
"""So many roots stay, the most recently used; half a gigabyte each."""


class BuildrootCache:
    """Thread-safe; several processes may share `work`, a directory of this user alone on a disk with room."""

    def __init__(
        self, roots: RootMaker, sandbox: Sandbox, store: ObjectStore, work: Path, keep: int = MAX_ROOTS
    ) -> None:
        self._maker, self._sandbox, self._store, self._keep = roots, sandbox, store, keep
        self._path = work / "roots"
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def acquire(
        self, description: Path, profile: str, repositories: str, log: Callable[[bytes], None], cancel: Event
    ) -> Buildroot:
        """The root for a description; asked twice at once, it is made once.

        Permanent(code="root") when the description is wrong, Retryable when something around us is unwell, Canceled."""
        key = root_key(self._maker.recipe, description.read_bytes(), profile, repositories)
        while (ready := self._held(key)) is None:
            with raise_canceled(cancel), exclusive_lock(self._path / f".lock-{key}", cancel):
                if not (self._path / key).exists() and not self._fetch(key, log, cancel):
                    self._make(key, description, profile, log, cancel)
            self._evict(besides=key)
        _say(log, f"build root {key[:12]} is ready")
        return ready

    def keys(self) -> tuple[str, ...]:
        """Of the roots that are unpacked on this machine."""
        return tuple(sorted(path.name for path in self._unpacked()))

    def sweep(self) -> None:
        """Removes what a killed process left half made."""
        self._sandbox.sweep()
        for directory in directories.abandoned_directories(self._path, ".new-*"):
            self._sandbox.remove(directory)

    def _held(self, key: str) -> Buildroot | None:
        """The root if it is there, kept from eviction as long as the value lives."""
        with ExitStack() as hold:
            if not hold.enter_context(directories.share_directory(self._path / key)):
                return None
            os.utime(self._path / key)
            root = Buildroot(key, self._path / key / "root")
            weakref.finalize(root, hold.pop_all().close)
            return root

    def _fetch(self, key: str, log: Callable[[bytes], None], cancel: Event) -> bool:
        """From the store; False when it has none that can be used."""
        digest = self._store.named(_name(key))
        if digest is None or not self._store.has(digest):
            return False
        _say(log, f"build root {key[:12]} is unpacked from the store")
        try:
            with raise_canceled(cancel):
                self._unpack(key, digest, cancel)
        except Permanent as cause:
            _say(log, f"build root {key[:12]} in the store cannot be used and is made again: {cause.message}")
            return False
        return True

    def _unpack(self, key: str, digest: Digest, cancel: Event) -> None:
        with ExitStack() as making:
            fresh = self._fresh(key, making)
            archive = fresh / "archive"
            self._store.fetch(digest, archive)
            self._sandbox.unpack(archive, fresh / "root", cancel)
            archive.unlink()
            fresh.rename(self._path / key)

    def _make(self, key: str, description: Path, profile: str, log: Callable[[bytes], None], cancel: Event) -> None:
        _say(log, f"build root {key[:12]} is made for {profile}: once, and then kept")
        with ExitStack() as making:
            fresh = self._fresh(key, making)
            with raise_canceled(cancel):
                self._maker.prepare(description, profile, fresh / "root", log=log, cancel=cancel)
            self._share(key, fresh, log, cancel)
            fresh.rename(self._path / key)

    def _share(self, key: str, fresh: Path, log: Callable[[bytes], None], cancel: Event) -> None:
        """Into the store, for the other runners. That it cannot take it is no reason not to build, and a cancel none to
        throw away the root."""
        archive = fresh / "archive"
        try:
            self._sandbox.pack(fresh / "root", archive, cancel)
            digest, _ = self._store.put(archive)
            self._store.name(_name(key), digest)
        except CloudBuilderError as cause:
            _say(log, f"build root {key[:12]} is not shared with other runners: {cause.message}")
        archive.unlink(missing_ok=True)

    def _fresh(self, key: str, making: ExitStack) -> Path:
        """An owned directory that is gone at the end, unless it got its final name."""
        fresh = self._path / f".new-{key}-{uuid.uuid4().hex[:8]}"
        making.callback(self._sandbox.remove, fresh)
        return making.enter_context(directories.own_directory(fresh))

    def _unpacked(self) -> list[Path]:
        return [path for path in self._path.iterdir() if not path.name.startswith(".")]

    def _evict(self, besides: str) -> None:
        """Moves the least recently used ones out of the way, if nobody holds them, and deletes them."""
        newest = sorted(self._unpacked(), key=_last_use, reverse=True)
        for old in newest[self._keep :]:
            for directory in directories.abandoned_directories(self._path, old.name):
                if old.name != besides:
                    gone = self._path / f".new-gone-{uuid.uuid4().hex[:8]}"
                    directory.rename(gone)
                    self._sandbox.remove(gone)


def root_key(recipe: str, description: bytes, profile: str, repositories: str) -> str:
    """Equal on every machine for equal inputs."""
    parts = [recipe, hashlib.sha256(description).hexdigest(), profile, repositories]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _name(key: str) -> str:
    return f"buildroot/{key}"


def _last_use(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _say(log: Callable[[bytes], None], text: str) -> None:
    log(text.encode() + b"\n")
