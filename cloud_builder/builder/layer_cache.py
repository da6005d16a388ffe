"""Build-dependency layers: what a source needs on top of its build root, made once per solved set and kept.

In come a build root, a source and the artifacts of ours that it may use; out go directories to stack on the root: one
with what only others provide, which many sources share and a rebuild finds again, and above it one with ours. A layer
that is there costs a look at a directory: no apt, no network. The least recently used ones go first.

    layers/<key>/upper      the layer          layers/<key>/packages   what is installed down to the root
    layers/<key>/id         of this making     layers/<key>/below      the id of what it was made on
    layers/.new-…           being made         layers/.downloads       what was fetched, for the next layer
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from cloud_builder.errors import Permanent
from cloud_builder.files import directories
from cloud_builder.files.locks import exclusive_lock
from cloud_builder.model.artifact import Artifact
from cloud_builder.model.limits import Limits
from cloud_builder.ports.buildroot import Buildroot
from cloud_builder.ports.recipe import Action, PackageSource, Recipe
from cloud_builder.ports.sandbox import Confinement, EndReason, RunResult, Sandbox
from cloud_builder.ports.store import ObjectStore

from .build_log import BuildLog, Canceled, raise_canceled
from .outcome import install_ended

MAX_LAYERS = 24
DOWNLOAD_CACHE_BYTES = 2 * 1024**3
"""Bytes of fetched packages that are kept."""


@dataclass(frozen=True)
class Layer:
    """`uppers`: to be stacked on the root, lowest first; `packages`: file with what is in all, `id`: of this making."""

    uppers: tuple[Path, ...]
    packages: Path
    id: str


@dataclass(frozen=True)
class LayerSpec:
    """What goes into a layer, and how to make it when there is none. `dependencies`: artifacts of ours."""

    root: Buildroot
    source: PackageSource
    arch: str
    dependencies: Sequence[Artifact]
    limits: Limits
    progress: BuildLog
    cancel: Event


class LayerCache:
    """Thread-safe; several processes may share `path`. `keep`: how many layers stay."""

    def __init__(
        self, path: Path, sandbox: Sandbox, store: ObjectStore, recipe: Recipe, keep: int = MAX_LAYERS
    ) -> None:
        self._path, self._sandbox, self._store, self._recipe, self._keep = path, sandbox, store, recipe, keep

    @contextmanager
    def acquire(self, needs: LayerSpec) -> Iterator[Layer]:
        """The layer, for the time of the block. Permanent when a build dependency cannot be had; Canceled."""
        offered = [artifact for artifact in needs.dependencies if self._recipe.is_installable(artifact)]
        with ExitStack() as held:
            below = None
            if offered:
                foreign = replace(needs, source=self._recipe.without_local_packages(needs.source, offered))
                with suppress(Permanent):  # Alone they cannot be had; the whole set may, or tells all that is missing.
                    below = held.enter_context(self._one(foreign, (), None))
            yield held.enter_context(self._one(needs, offered, below))

    @contextmanager
    def _one(self, needs: LayerSpec, offered: Sequence[Artifact], below: Layer | None) -> Iterator[Layer]:
        key = layer_key(self._recipe.version, needs.root.key, needs.arch, needs.source, offered)
        path = self._path / key
        while True:
            with directories.share_directory(path) as there:
                if there and _below(path) == (below.id if below else ""):
                    os.utime(path)
                    needs.progress.note(f"layer {key[:12]} is ready")
                    uppers = (*(below.uppers if below else ()), path / "upper")
                    yield Layer(uppers, path / "packages", _word(path / "id"))
                    return
            with raise_canceled(needs.cancel), exclusive_lock(self._path / ".lock", needs.cancel):
                if _below(path) != (below.id if below else ""):
                    self._drop(path)
                    self._make(key, needs, offered, below)

    def sweep(self) -> None:
        """Removes layers that were being made when their maker died."""
        for directory in directories.abandoned_directories(self._path, ".new-*"):
            self._sandbox.remove(directory)

    def _make(self, key: str, needs: LayerSpec, offered: Sequence[Artifact], below: Layer | None) -> None:
        needs.progress.note(f"layer {key[:12]} is made, with {len(offered)} packages of ours on offer")
        fresh = self._path / f".new-{key}"
        self._sandbox.remove(fresh)
        try:
            with directories.own_directory(fresh):
                (fresh / "id").write_text(uuid.uuid4().hex)
                (fresh / "below").write_text(below.id if below else "")
                self._fill(needs, offered, fresh, below.uppers if below else ())
            fresh.rename(self._path / key)
        finally:
            self._sandbox.remove(fresh)
        self._evict()
        _trim(self._path / ".downloads")

    def _fill(self, needs: LayerSpec, offered: Sequence[Artifact], fresh: Path, below: tuple[Path, ...]) -> None:
        workspace, layers = fresh / "workspace", (needs.root.path, *below)
        files = [self._fetched(artifact, workspace) for artifact in offered]
        action = self._recipe.install(needs.source, files, workspace, self._path / ".downloads")
        ended = self._run(needs, action, layers, fresh / "upper", needs.progress.write)
        if ended.status != 0:
            raise install_ended(ended) or self._recipe.explain_install(needs.source, needs.progress.lines())
        said = bytearray()
        listed = self._run(needs, self._recipe.installed(), layers, fresh / "upper", said.extend)
        if listed.status != 0:
            raise Permanent(f"{action.command[0]}: the installed packages cannot be listed", code="build-dependency")
        (fresh / "packages").write_bytes(b"".join(sorted(bytes(said).splitlines(keepends=True))))
        self._sandbox.remove(workspace)

    def _fetched(self, artifact: Artifact, workspace: Path) -> Path:
        path = workspace / "offered" / artifact.sha256[:16] / artifact.name
        path.parent.mkdir(parents=True)
        self._store.fetch(artifact.sha256, path)
        return path

    def _run(
        self, needs: LayerSpec, action: Action, layers: tuple[Path, ...], upper: Path, output: Callable[[bytes], None]
    ) -> RunResult:
        confinement = confinement_for(action, layers, upper, needs.limits)
        ended = self._sandbox.run(action.command, confinement, output=output, cancel=needs.cancel)
        if ended.ended_by is EndReason.CANCEL:
            raise Canceled
        return ended

    def _evict(self) -> None:
        kept = [path for path in self._path.iterdir() if not path.name.startswith(".")]
        for path in sorted(kept, key=lambda path: path.stat().st_mtime)[: -self._keep or None]:
            self._drop(path)

    def _drop(self, path: Path) -> None:
        """Deletes a layer that nobody uses."""
        for directory in directories.abandoned_directories(path.parent, path.name):
            gone = self._path / f".new-gone-{uuid.uuid4().hex[:8]}"
            directory.rename(gone)
            self._sandbox.remove(gone)


def _below(path: Path) -> str | None:
    """The id of what a layer was made on, empty for the root itself; None when there is no such layer."""
    try:
        return _word(path / "below")
    except FileNotFoundError:
        return None


def _word(file: Path) -> str:
    return file.read_text(encoding="ascii")


def layer_key(recipe: str, root: str, arch: str, source: PackageSource, offered: Sequence[Artifact]) -> str:
    """Equal for equal layers: the relations and not the source that has them; which artifacts, not in which order."""
    relations = sorted([name, value] for name, value in source.build_depends)
    parts = [recipe, root, arch, relations, sorted({artifact.sha256 for artifact in offered})]
    parts += [sorted(source.profiles)] if source.profiles else []
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def confinement_for(action: Action, layers: tuple[Path, ...], upper: Path, limits: Limits | None) -> Confinement:
    """How to run an action of a recipe on a root."""
    return Confinement(
        layers=layers,
        upper=upper,
        binds=action.binds,
        network=action.network,
        uid=action.uid,
        directory=action.directory,
        environment=action.environment,
        limits=limits,
    )


def _trim(downloads: Path) -> None:
    """Keeps the newest files."""
    files = [(path, path.stat()) for path in downloads.glob("*") if path.is_file()]
    room = DOWNLOAD_CACHE_BYTES
    for path, about in sorted(files, key=lambda one: -one[1].st_mtime):
        room -= about.st_size
        if room < 0:
            path.unlink()
