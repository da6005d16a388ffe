"""Build-dependency layers: what a source needs on top of its build root, made once per solved set and kept.

In come a build root, a source and the artifacts of ours that it may use; out goes a directory to stack on the root.
A layer that is there costs a look at a directory: no apt, no network. The least recently used ones go first.

    layers/<key>/upper      the layer          layers/<key>/packages   what is installed in root and layer
    layers/.new-…           being made         layers/.downloads       what was fetched, for the next layer
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from cloud_builder.errors import CloudBuilderError, Permanent, Retryable
from cloud_builder.model.artifact import Artifact
from cloud_builder.model.limits import Limits
from cloud_builder.ports.buildroot import Buildroot
from cloud_builder.ports.recipe import Action, PackageSource, Recipe
from cloud_builder.ports.sandbox import Confinement, Ended, EndedBy, Sandbox
from cloud_builder.ports.store import ObjectStore

from . import place
from .progress import Canceled, Progress

KEEP = 24
DOWNLOADS = 2 * 1024**3
"""Bytes of fetched packages that are kept."""


@dataclass(frozen=True)
class Layer:
    """`upper`: to be stacked on the root; `packages`: what is installed in both, one `name version arch` a line."""

    key: str
    upper: Path
    packages: Path


@dataclass(frozen=True)
class Needs:
    """What goes into a layer, and how to make it when there is none. `dependencies`: artifacts of ours."""

    root: Buildroot
    source: PackageSource
    arch: str
    dependencies: Sequence[Artifact]
    limits: Limits
    progress: Progress
    cancel: Event


class Layers:
    """Thread-safe; several processes may share `path`. `keep`: how many layers stay."""

    def __init__(self, path: Path, sandbox: Sandbox, store: ObjectStore, recipe: Recipe, keep: int = KEEP) -> None:
        self._path, self._sandbox, self._store, self._recipe, self._keep = path, sandbox, store, recipe, keep

    @contextmanager
    def ready(self, needs: Needs) -> Iterator[Layer]:
        """The layer, for the time of the block. Permanent when a build dependency cannot be had; Canceled."""
        offered = [artifact for artifact in needs.dependencies if self._recipe.is_offered(artifact)]
        key = layer_key(self._recipe.version, needs.root.key, needs.arch, needs.source, offered)
        layer = Layer(key, self._path / key / "upper", self._path / key / "packages")
        while True:
            with place.shared(self._path / key) as there:
                if there:
                    os.utime(self._path / key)
                    needs.progress.say(f"layer {key[:12]} is ready")
                    yield layer
                    return
            with place.exclusive(self._path / ".lock", needs.cancel):
                if not layer.packages.exists():
                    self._make(key, needs, offered)

    def sweep(self) -> None:
        """Removes layers that were being made when their maker died."""
        for directory in place.abandoned(self._path, ".new-*"):
            self._sandbox.remove(directory)

    def _make(self, key: str, needs: Needs, offered: Sequence[Artifact]) -> None:
        needs.progress.say(f"layer {key[:12]} is made, with {len(offered)} packages of ours on offer")
        fresh = self._path / f".new-{key}"
        self._sandbox.remove(fresh)
        try:
            with place.owned(fresh):
                self._fill(needs, offered, fresh)
            fresh.rename(self._path / key)
        finally:
            self._sandbox.remove(fresh)
        self._evict()
        _trim(self._path / ".downloads")

    def _fill(self, needs: Needs, offered: Sequence[Artifact], fresh: Path) -> None:
        workspace = fresh / "workspace"
        files = [self._fetched(artifact, workspace) for artifact in offered]
        action = self._recipe.install(needs.source, files, workspace, self._path / ".downloads")
        ended = self._run(needs, action, fresh, needs.progress.write)
        if ended.status != 0:
            raise _why_not(self._recipe, needs, ended)
        said = bytearray()
        listed = self._run(needs, self._recipe.installed(), fresh, said.extend)
        if listed.status != 0:
            raise Permanent(f"{action.command[0]}: the installed packages cannot be listed", code="build-dependency")
        (fresh / "packages").write_bytes(b"".join(sorted(bytes(said).splitlines(keepends=True))))
        self._sandbox.remove(workspace)

    def _fetched(self, artifact: Artifact, workspace: Path) -> Path:
        path = workspace / "offered" / artifact.sha256[:16] / artifact.name
        path.parent.mkdir(parents=True)
        self._store.fetch(artifact.sha256, path)
        return path

    def _run(self, needs: Needs, action: Action, fresh: Path, output: Callable[[bytes], None]) -> Ended:
        confinement = confined(action, (needs.root.path,), fresh / "upper", needs.limits)
        ended = self._sandbox.run(action.command, confinement, output=output, cancel=needs.cancel)
        if ended.ended_by is EndedBy.CANCEL:
            raise Canceled
        return ended

    def _evict(self) -> None:
        kept = [path for path in self._path.iterdir() if not path.name.startswith(".")]
        oldest = sorted(kept, key=lambda path: path.stat().st_mtime)[: -self._keep or None]
        for path in oldest:
            for directory in place.abandoned(self._path, path.name):
                gone = self._path / f".new-gone-{path.name}"
                directory.rename(gone)
                self._sandbox.remove(gone)


def layer_key(recipe: str, root: str, arch: str, source: PackageSource, offered: Sequence[Artifact]) -> str:
    """Equal for equal layers: the relations and not the source that has them; which artifacts, not in which order."""
    relations = sorted([name, value] for name, value in source.build_depends)
    parts = [recipe, root, arch, relations, sorted({artifact.sha256 for artifact in offered})]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def confined(action: Action, layers: tuple[Path, ...], upper: Path, limits: Limits | None) -> Confinement:
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


def _why_not(recipe: Recipe, needs: Needs, ended: Ended) -> CloudBuilderError:
    if ended.ended_by is not EndedBy.ITSELF:
        message = f"installing the build dependencies reached the limit {ended.ended_by.value}"
        return Retryable(message, code=f"limit-{ended.ended_by.value}", hint="Is the mirror slow, or the disk full?")
    return recipe.explain_install(needs.source, needs.progress.lines())


def _trim(downloads: Path) -> None:
    """Keeps the newest files."""
    files = [(path, path.stat()) for path in downloads.glob("*") if path.is_file()]
    room = DOWNLOADS
    for path, about in sorted(files, key=lambda one: -one[1].st_mtime):
        room -= about.st_size
        if room < 0:
            path.unlink()
