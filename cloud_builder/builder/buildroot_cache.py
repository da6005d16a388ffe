"""A cache of build roots: each is made once per description and repository state, and shared through the object store.

Input: a build_root.kiwi, its profile, and the state of the repositories that it names. Output: a directory to build on.
A root that is unpacked on this machine is used as it is. Otherwise it is fetched from the store. If the store has none,
it is made, packed and stored.

    roots/<key>/root   complete, the lowest layer of builds    roots/.new-<key>-…   being made or unpacked
    roots/.lock-<key>  locked by the process that makes it

A root is not evicted while a `Buildroot` that names it exists.
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
"""Roots that are kept, the most recently used ones; each takes about half a gigabyte."""


class BuildrootCache:
    """Thread-safe; several processes may share `work`, a directory of this user alone on a disk with room."""

    def __init__(
        self, maker: RootMaker, sandbox: Sandbox, store: ObjectStore, work: Path, max_roots: int = MAX_ROOTS
    ) -> None:
        self._maker, self._sandbox, self._store, self._max_roots = maker, sandbox, store, max_roots
        self._path = work / "roots"
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def acquire(
        self, description: Path, profile: str, repositories: str, log: Callable[[bytes], None], cancel: Event
    ) -> Buildroot:
        """Returns the root of a description. Concurrent calls for the same root make it once.

        Raises Permanent(code="root") when the description is wrong, Retryable after errors outside of it, Canceled."""
        inputs = self._maker.inputs(description, profile)
        key = root_key(self._maker.recipe, inputs.content, profile, repositories)
        while (root := self._share(key)) is None:
            with raise_canceled(cancel), exclusive_lock(self._path / f".lock-{key}", cancel):
                if not (self._path / key).exists() and not self._fetch(key, log, cancel):
                    self._make(key, description, profile, log, cancel)
            self._evict(except_key=key)
        _note(log, f"build root {key[:12]} is ready")
        for repository in inputs.unverified:
            _note(log, f"build root {key[:12]} has unverified packages: no signature of {repository} is checked")
        return root

    def keys(self) -> tuple[str, ...]:
        """Returns the keys of the roots that are unpacked on this machine."""
        return tuple(sorted(path.name for path in self._unpacked()))

    def sweep(self) -> None:
        """Removes unfinished roots of killed processes."""
        self._sandbox.sweep()
        for directory in directories.abandoned_directories(self._path, ".new-*"):
            self._sandbox.remove(directory)

    def _share(self, key: str) -> Buildroot | None:
        """Returns the root if it is unpacked. While the returned value exists, the root is not evicted."""
        with ExitStack() as lock:
            if not lock.enter_context(directories.share_directory(self._path / key)):
                return None
            os.utime(self._path / key)
            root = Buildroot(key, self._path / key / "root")
            weakref.finalize(root, lock.pop_all().close)
            return root

    def _fetch(self, key: str, log: Callable[[bytes], None], cancel: Event) -> bool:
        """Unpacks the root from the store; False when the store has none, or a damaged one."""
        digest = self._store.named(_object_name(key))
        if digest is None or not self._store.has(digest):
            return False
        _note(log, f"build root {key[:12]} is unpacked from the store")
        try:
            with raise_canceled(cancel):
                self._unpack(key, digest, cancel)
        except Permanent as cause:
            _note(log, f"build root {key[:12]} in the store cannot be used and is made again: {cause.message}")
            return False
        return True

    def _unpack(self, key: str, digest: Digest, cancel: Event) -> None:
        with ExitStack() as cleanup:
            unfinished = self._unfinished_directory(key, cleanup)
            archive = unfinished / "archive"
            self._store.fetch(digest, archive)
            self._sandbox.unpack(archive, unfinished / "root", cancel)
            archive.unlink()
            unfinished.rename(self._path / key)

    def _make(self, key: str, description: Path, profile: str, log: Callable[[bytes], None], cancel: Event) -> None:
        _note(log, f"build root {key[:12]} is made for {profile}: once, and then kept")
        with ExitStack() as cleanup:
            unfinished = self._unfinished_directory(key, cleanup)
            with raise_canceled(cancel):
                self._maker.prepare(description, profile, unfinished / "root", log=log, cancel=cancel)
            self._store_root(key, unfinished, log, cancel)
            unfinished.rename(self._path / key)

    def _store_root(self, key: str, unfinished: Path, log: Callable[[bytes], None], cancel: Event) -> None:
        """Puts the root into the store for the other runners.

        Errors are logged only: the build goes on without the store, and a cancel does not discard the finished root."""
        archive = unfinished / "archive"
        try:
            self._sandbox.pack(unfinished / "root", archive, cancel)
            digest, _ = self._store.put(archive)
            self._store.name(_object_name(key), digest)
        except CloudBuilderError as cause:
            _note(log, f"build root {key[:12]} is not shared with other runners: {cause.message}")
        archive.unlink(missing_ok=True)

    def _unfinished_directory(self, key: str, cleanup: ExitStack) -> Path:
        """Creates and locks a directory. `cleanup` deletes it, unless it got its final name."""
        directory = self._path / f".new-{key}-{uuid.uuid4().hex[:8]}"
        cleanup.callback(self._sandbox.remove, directory)
        return cleanup.enter_context(directories.own_directory(directory))

    def _unpacked(self) -> list[Path]:
        return [path for path in self._path.iterdir() if not path.name.startswith(".")]

    def _evict(self, except_key: str) -> None:
        """Renames the least recently used roots that are not in use, and deletes them."""
        newest = sorted(self._unpacked(), key=_last_use, reverse=True)
        for old in newest[self._max_roots :]:
            for directory in directories.abandoned_directories(self._path, old.name):
                if old.name != except_key:
                    evicted = self._path / f".new-gone-{uuid.uuid4().hex[:8]}"
                    directory.rename(evicted)
                    self._sandbox.remove(evicted)


def root_key(recipe: str, description: bytes, profile: str, repositories: str) -> str:
    """Returns a key that is equal on all machines for equal inputs."""
    parts = [recipe, hashlib.sha256(description).hexdigest(), profile, repositories]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _object_name(key: str) -> str:
    return f"buildroot/{key}"


def _last_use(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _note(log: Callable[[bytes], None], text: str) -> None:
    log(text.encode() + b"\n")
