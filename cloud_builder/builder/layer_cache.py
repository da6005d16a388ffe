"""A cache of dependency layers: the build dependencies of a source, installed on its build root and kept.

Input: a build root, a source, and the artifacts of this mesh that it may use. Output: directories to stack on the root.
A source that uses such artifacts gets two layers: below, the packages of other repositories alone; above, all that the
source needs. Many sources share the lower layer, and a rebuild finds it again.
An existing layer costs one look at a directory: no apt, no network. Layers are kept up to a number of bytes; the least
recently used ones are evicted first.

    layers/<key>/upper      the layer                   layers/<key>/packages   all installed packages, root included
    layers/<key>/id         identifies this very layer  layers/<key>/below      the id of the layer below
    layers/<key>/bytes      its size on disk
    layers/.new-…           being made                  layers/.downloads       fetched packages, for the next layers
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from cloud_builder.errors import Permanent
from cloud_builder.files import directories
from cloud_builder.files.disk_usage import disk_usage
from cloud_builder.files.locks import exclusive_lock
from cloud_builder.model.artifact import Artifact
from cloud_builder.ports.recipe import PackageSource, Recipe
from cloud_builder.ports.sandbox import Sandbox
from cloud_builder.ports.store import ObjectStore

from .build_log import raise_canceled
from .layer_install import LayerInstaller, LayerSpec

MAX_LAYER_BYTES = 20 * 1024**3
"""Bytes of layers that are kept, the most recently used ones."""


@dataclass(frozen=True)
class Layer:
    """A dependency layer, protected from eviction while it is in use.

    uppers     directories to be stacked on the root, lowest first
    packages   file that lists all installed packages, those of the root included
    id         identifies this very layer; a layer that is made again with the same key gets another id
    """

    uppers: tuple[Path, ...]
    packages: Path
    id: str


class LayerCache:
    """Thread-safe; several processes may share `path`."""

    def __init__(
        self, path: Path, sandbox: Sandbox, store: ObjectStore, recipe: Recipe, max_bytes: int = MAX_LAYER_BYTES
    ) -> None:
        self._path, self._sandbox, self._recipe, self._max_bytes = path, sandbox, recipe, max_bytes
        self._installer = LayerInstaller(sandbox, store, recipe, path / ".downloads")

    @contextmanager
    def acquire(self, spec: LayerSpec) -> Iterator[Layer]:
        """Yields the layer, made if necessary, and protects it from eviction for the time of the block.

        Raises Permanent when a build dependency cannot be installed, Canceled."""
        artifacts = [artifact for artifact in spec.dependencies if self._recipe.is_installable(artifact)]
        with ExitStack() as stack:
            below = None
            if artifacts:
                foreign = replace(spec, source=self._recipe.without_local_packages(spec.source, artifacts))
                # Without the artifacts the rest may not be installable; together they may be. If they are not, the
                # error of the upper layer names everything that is missing.
                with suppress(Permanent):
                    below = stack.enter_context(self._acquire_one(foreign, (), None))
            yield stack.enter_context(self._acquire_one(spec, artifacts, below))

    @contextmanager
    def _acquire_one(self, spec: LayerSpec, artifacts: Sequence[Artifact], below: Layer | None) -> Iterator[Layer]:
        key = layer_key(self._recipe.version, spec.root.key, spec.arch, spec.source, artifacts)
        path = self._path / key
        while True:
            with directories.share_directory(path) as is_shared:
                if is_shared and _id_below(path) == (below.id if below else ""):
                    os.utime(path)
                    spec.log.note(f"layer {key[:12]} is ready")
                    uppers = (*(below.uppers if below else ()), path / "upper")
                    yield Layer(uppers, path / "packages", _read_id(path / "id"))
                    return
            with raise_canceled(spec.cancel), exclusive_lock(self._path / ".lock", spec.cancel):
                if _id_below(path) != (below.id if below else ""):
                    self._remove_unused(path)
                    self._make(key, spec, artifacts, below)

    def sweep(self) -> None:
        """Removes unfinished layers of killed processes."""
        for directory in directories.abandoned_directories(self._path, ".new-*"):
            self._sandbox.remove(directory)

    def _make(self, key: str, spec: LayerSpec, artifacts: Sequence[Artifact], below: Layer | None) -> None:
        spec.log.note(f"layer {key[:12]} is made; {len(artifacts)} packages of this mesh may be installed in it")
        unfinished = self._path / f".new-{key}"
        self._sandbox.remove(unfinished)
        try:
            with directories.own_directory(unfinished):
                (unfinished / "id").write_text(uuid.uuid4().hex)
                (unfinished / "below").write_text(below.id if below else "")
                self._installer.install(spec, artifacts, unfinished, below.uppers if below else ())
                (unfinished / "bytes").write_text(str(disk_usage(unfinished)))
            unfinished.rename(self._path / key)
        finally:
            self._sandbox.remove(unfinished)
        self._evict()
        self._installer.trim_downloads()

    def _evict(self) -> None:
        layers = [path for path in self._path.iterdir() if not path.name.startswith(".")]
        bytes_left = self._max_bytes
        for path in sorted(layers, key=lambda path: path.stat().st_mtime, reverse=True):
            bytes_left -= _read_bytes(path / "bytes")
            if bytes_left < 0:
                self._remove_unused(path)

    def _remove_unused(self, path: Path) -> None:
        """Deletes a layer, unless it is in use."""
        for directory in directories.abandoned_directories(path.parent, path.name):
            evicted = self._path / f".new-gone-{uuid.uuid4().hex[:8]}"
            directory.rename(evicted)
            self._sandbox.remove(evicted)


def layer_key(recipe: str, root: str, arch: str, source: PackageSource, artifacts: Sequence[Artifact]) -> str:
    """Returns a key that is equal for equal layers.

    It depends on the relations of the source, not on its name or version, and on the set of artifacts, not on their
    order."""
    relations = sorted([name, value] for name, value in source.build_depends)
    parts = [recipe, root, arch, relations, sorted({artifact.sha256 for artifact in artifacts})]
    parts += [sorted(source.profiles)] if source.profiles else []
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _id_below(path: Path) -> str | None:
    """Returns the id of the layer that a layer is stacked on; empty: the root itself; None: no such layer."""
    try:
        return _read_id(path / "below")
    except FileNotFoundError:
        return None


def _read_bytes(file: Path) -> int:
    """Returns the size of a layer; 0 when the layer was removed meanwhile."""
    try:
        return int(file.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 0


def _read_id(file: Path) -> str:
    return file.read_text(encoding="ascii")
