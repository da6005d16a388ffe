"""Finds what of this machine's caches can be removed, and removes it (`cb-ctl clean`); what is in use stays.

Everything but the home is made again when it is needed.

    leftovers  directories of builds that were killed
    layers     installed build dependencies                     <work>/layers
    downloads  packages that apt has fetched                    <work>/layers/.downloads, <work>/test-downloads
    roots      build roots, unpacked and packed                 <work>/roots, <cache>/store
    local      results and directories of `cb-ctl build`        <cache>/local
    home       the state of the mesh, with its repositories and its signing key

`<work>`: the work directory of each runner of the home, and of `cb-ctl build`.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cloud_builder.adapters.sandbox.namespaces import NamespaceSandbox
from cloud_builder.adapters.sqlite.lock import is_held
from cloud_builder.files import directories
from cloud_builder.files.disk_usage import disk_usage
from cloud_builder.files.locks import try_lock
from cloud_builder.model.settings import Settings
from cloud_builder.ports.sandbox import Sandbox

from .rundir import running_mesh


class CacheKind(StrEnum):
    """A kind of files that `cb-ctl clean` can remove."""

    LEFTOVERS = "leftovers"
    LAYERS = "layers"
    DOWNLOADS = "downloads"
    ROOTS = "roots"
    LOCAL = "local"
    HOME = "home"


DEFAULT = (CacheKind.LEFTOVERS, CacheKind.LAYERS, CacheKind.DOWNLOADS, CacheKind.LOCAL)


_SHARED = (CacheKind.LAYERS, CacheKind.ROOTS)
"""Kinds with a directory of the same name, in which users lock what they use."""


@dataclass(frozen=True)
class CacheEntry:
    """A directory that can be removed. `size`: bytes on disk."""

    kind: CacheKind
    path: Path
    size: int
    is_used: bool = False


def find(settings: Settings, kinds: Collection[CacheKind]) -> list[CacheEntry]:
    """Returns the directories of these kinds that exist, with their size. With the home, those in it are left out."""
    found = [entry for work in _work_directories(settings) for entry in _of_work(work)]
    found += _whole(CacheKind.ROOTS, settings.buildroot_store_path)
    local = settings.cache / "local"
    is_building = any(entry.is_used for entry in found if entry.path.is_relative_to(local))
    found += _whole(CacheKind.LOCAL, local / "store", is_used=is_building)
    if CacheKind.HOME in kinds:
        found = [entry for entry in found if not entry.path.is_relative_to(settings.home)]
        found += _whole(CacheKind.HOME, settings.home, is_used=_is_home_used(settings.home))
    return [entry for entry in found if entry.kind in kinds]


def remove(entry: CacheEntry, sandbox: Sandbox | None = None) -> bool:
    """Removes a directory; returns False when it is in use."""
    if entry.is_used:
        return False
    sandbox = sandbox or NamespaceSandbox()
    if entry.kind is CacheKind.DOWNLOADS:
        return _remove_downloads(entry.path)
    if entry.kind is CacheKind.LEFTOVERS or (entry.kind in _SHARED and entry.path.parent.name == entry.kind):
        return _remove_locked(entry.path, sandbox)
    sandbox.remove(entry.path)
    return True


def sizes(entries: Sequence[CacheEntry]) -> dict[CacheKind, int]:
    """Returns the bytes of each kind, in the order of the kinds."""
    return {kind: sum(entry.size for entry in entries if entry.kind is kind) for kind in CacheKind}


def _work_directories(settings: Settings) -> list[Path]:
    candidates = {settings.runner_work, *settings.home.glob("*/work"), settings.cache / "local" / "work"}
    return sorted(path for path in candidates if (path / "layers").is_dir() or (path / "roots").is_dir())


def _of_work(work: Path) -> Iterator[CacheEntry]:
    yield from _locked(CacheKind.LEFTOVERS, work / "jobs")
    yield from _locked(CacheKind.LEFTOVERS, work / "layers", ".new-*")
    yield from _locked(CacheKind.LEFTOVERS, work / "roots", ".new-*")
    yield from _locked(CacheKind.LAYERS, work / "layers", "[!.]*")
    yield from _locked(CacheKind.ROOTS, work / "roots", "[!.]*")
    yield from _whole(CacheKind.DOWNLOADS, work / "layers" / ".downloads")
    yield from _whole(CacheKind.DOWNLOADS, work / "test-downloads")


def _locked(kind: CacheKind, parent: Path, pattern: str = "*") -> Iterator[CacheEntry]:
    """Yields directories that their users lock."""
    unused = set(directories.abandoned_directories(parent, pattern)) if parent.is_dir() else set()
    for path in sorted(parent.glob(pattern)) if parent.is_dir() else ():
        if path.is_dir():
            yield CacheEntry(kind, path, disk_usage(path), is_used=path not in unused)


def _whole(kind: CacheKind, path: Path, *, is_used: bool = False) -> Iterator[CacheEntry]:
    if path.is_dir():
        yield CacheEntry(kind, path, disk_usage(path), is_used)


def _remove_locked(path: Path, sandbox: Sandbox) -> bool:
    """Removes a directory that its users lock. It gets another name first, so that no new user finds it."""
    for directory in directories.abandoned_directories(path.parent, path.name):
        gone = path.parent / f".new-gone-{uuid.uuid4().hex[:8]}"
        directory.rename(gone)
        sandbox.remove(gone)
        return True
    return False


def _remove_downloads(path: Path) -> bool:
    """Removes fetched packages, unless some are fetched now (builder.layer_cache, builder.manifest_tests lock it)."""
    file = path.parent / (".lock" if path.name == ".downloads" else ".lock-tests")
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if not try_lock(descriptor):
            return False
        shutil.rmtree(path)
        return True
    finally:
        os.close(descriptor)


def _is_home_used(home: Path) -> bool:
    return running_mesh(home) is not None or any(is_held(state) for state in home.glob("*/state.sqlite"))
