"""Makes a dependency layer: installs the build dependencies of a source on its root, in the sandbox.

Input: a build root, the layers below, a source and artifacts of this mesh. Output: a directory with the layer and the
list of all installed packages. Fetched packages are kept for the next layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from cloud_builder.errors import Permanent
from cloud_builder.model.artifact import Artifact
from cloud_builder.model.limits import Limits
from cloud_builder.ports.buildroot import HOSTNAME, Buildroot
from cloud_builder.ports.recipe import Action, PackageSource, Recipe
from cloud_builder.ports.sandbox import Confinement, EndReason, RunResult, Sandbox
from cloud_builder.ports.store import ObjectStore

from .build_log import BuildLog, Canceled
from .outcome import install_error

DOWNLOAD_CACHE_BYTES = 2 * 1024**3
"""Bytes of fetched packages that are kept, the newest files."""


@dataclass(frozen=True)
class LayerSpec:
    """The contents of a layer, and the means to make it. `dependencies`: artifacts of this mesh."""

    root: Buildroot
    source: PackageSource
    arch: str
    dependencies: Sequence[Artifact]
    limits: Limits
    log: BuildLog
    cancel: Event


class LayerInstaller:
    """Thread-safe. `downloads`: a directory for fetched packages."""

    def __init__(self, sandbox: Sandbox, store: ObjectStore, recipe: Recipe, downloads: Path) -> None:
        self._sandbox, self._store, self._recipe, self._downloads = sandbox, store, recipe, downloads

    def install(
        self, spec: LayerSpec, artifacts: Sequence[Artifact], directory: Path, uppers_below: tuple[Path, ...]
    ) -> None:
        """Installs into `directory`: `upper` is the layer, `packages` lists the installed packages.

        `uppers_below`: the layers between the root and this one."""
        workspace, layers = directory / "workspace", (spec.root.path, *uppers_below)
        files = [self._fetch(artifact, workspace) for artifact in artifacts]
        action = self._recipe.install(spec.source, files, workspace, self._downloads)
        result = self._run(spec, action, layers, directory / "upper", spec.log.write)
        if result.status != 0:
            raise install_error(result) or self._recipe.explain_install(spec.source, spec.log.lines())
        output = bytearray()
        result = self._run(spec, self._recipe.installed(), layers, directory / "upper", output.extend)
        if result.status != 0:
            raise Permanent(
                f"the packages of the build root cannot be listed: {self._recipe.installed().command[0]} ended with"
                f" status {result.status}",
                code="build-dependency",
                hint="Check that the packages of build_root.kiwi do not replace the package manager.",
            )
        (directory / "packages").write_bytes(b"".join(sorted(bytes(output).splitlines(keepends=True))))
        self._sandbox.remove(workspace)

    def trim_downloads(self) -> None:
        trim_downloads(self._downloads)

    def _fetch(self, artifact: Artifact, workspace: Path) -> Path:
        path = workspace / "artifacts" / artifact.sha256[:16] / artifact.name
        path.parent.mkdir(parents=True)
        self._store.fetch(artifact.sha256, path)
        return path

    def _run(
        self, spec: LayerSpec, action: Action, layers: tuple[Path, ...], upper: Path, output: Callable[[bytes], None]
    ) -> RunResult:
        confinement = confinement_for(action, layers, upper, spec.limits)
        result = self._sandbox.run(action.command, confinement, output=output, cancel=spec.cancel)
        if result.ended_by is EndReason.CANCEL:
            raise Canceled
        return result


def trim_downloads(directory: Path) -> None:
    """Deletes the oldest files of a directory beyond `DOWNLOAD_CACHE_BYTES`."""
    files = [(path, path.stat()) for path in directory.glob("*") if path.is_file()]
    bytes_left = DOWNLOAD_CACHE_BYTES
    for path, status in sorted(files, key=lambda file: -file[1].st_mtime):
        bytes_left -= status.st_size
        if bytes_left < 0:
            path.unlink()


def confinement_for(action: Action, layers: tuple[Path, ...], upper: Path, limits: Limits | None) -> Confinement:
    """Returns how the sandbox runs an action of a recipe on a root and its layers.

    An action with a network sees the machine's /etc/hosts, which does not have the name of the host in builds."""
    return Confinement(
        layers=layers,
        upper=upper,
        binds=action.binds,
        network=action.network,
        uid=action.uid,
        hostname="localhost" if action.network else HOSTNAME,
        directory=action.directory,
        environment=action.environment,
        limits=limits,
    )
