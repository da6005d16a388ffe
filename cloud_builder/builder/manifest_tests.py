"""Runs the tests of a manifest (`test`): installs the built packages in a throw-away root, and runs each command there.

Input: a finished build, its root, and the artifacts of this mesh that it could use. Output: the log; an error for the
first command that fails. The root is the build root without build dependencies, so that a package whose Depends lacks
something fails here as it would for its users.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from cloud_builder.files.locks import exclusive_lock
from cloud_builder.model.artifact import Artifact
from cloud_builder.model.limits import Limits
from cloud_builder.model.manifest import MANIFEST, Manifest10, parse
from cloud_builder.model.manifest_schema import Test
from cloud_builder.ports.buildroot import Buildroot
from cloud_builder.ports.recipe import Action, Output, PackageSource, Recipe
from cloud_builder.ports.sandbox import RunResult, Sandbox
from cloud_builder.ports.store import ObjectStore

from .build_log import BuildLog, raise_canceled
from .layer_install import confinement_for, trim_downloads
from .outcome import raise_for_result, test_error

STEP = "test"


@dataclass(frozen=True)
class TestSpec:
    """A finished build whose packages are tested. `directory`: a new one, which the caller deletes."""

    __test__ = False

    source: PackageSource
    root: Buildroot
    outputs: Sequence[Output]
    dependencies: Sequence[Artifact]
    directory: Path
    limits: Limits
    log: BuildLog
    cancel: Event


def tests_of(directory: Path) -> Test | None:
    """Returns the tests that the manifest of a unit's directory has; None without any. Raises ManifestError."""
    file = directory / MANIFEST
    if not file.is_file():
        return None
    manifest = parse(file.read_bytes(), MANIFEST)
    return manifest.test if isinstance(manifest, Manifest10) else None


class ManifestTests:
    """Thread-safe. `downloads`: a directory for fetched packages, which are kept for the next tests."""

    def __init__(self, sandbox: Sandbox, store: ObjectStore, recipe: Recipe, downloads: Path) -> None:
        self._sandbox, self._store, self._recipe, self._downloads = sandbox, store, recipe, downloads

    def run(self, test: Test, spec: TestSpec) -> None:
        """Runs the commands in their order, until one fails. Raises Permanent, Retryable or Canceled."""
        self._install(test, spec)
        for command in test.commands:
            spec.log.note(f"+ {command}")
            spec.log.begin_lines()
            result = self._run(spec, self._recipe.test_command(spec.source, command))
            if result.status != 0:
                raise test_error(spec.source, command, result.status, spec.log)

    def _install(self, test: Test, spec: TestSpec) -> None:
        packages = self._recipe.packages_to_test(spec.source, spec.outputs, test.packages)
        workspace = spec.directory / "workspace"
        built = [self._copy(output, workspace) for output in packages]
        offered = [self._fetch(artifact, workspace) for artifact in self._offered(spec)]
        self._downloads.mkdir(parents=True, exist_ok=True)
        with raise_canceled(spec.cancel), exclusive_lock(self._downloads.parent / ".lock-tests", spec.cancel):
            action = self._recipe.install_built(built, offered, workspace, self._downloads)
            result = self._run(spec, action)
            trim_downloads(self._downloads)
        if result.status != 0:
            raise self._recipe.explain_install_built(spec.source, spec.log.lines())

    def _offered(self, spec: TestSpec) -> list[Artifact]:
        return [artifact for artifact in spec.dependencies if self._recipe.is_installable(artifact)]

    def _copy(self, output: Output, workspace: Path) -> Path:
        path = workspace / "built" / output.path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(output.path, path)
        return path

    def _fetch(self, artifact: Artifact, workspace: Path) -> Path:
        path = workspace / "artifacts" / artifact.sha256[:16] / artifact.name
        path.parent.mkdir(parents=True)
        self._store.fetch(artifact.sha256, path)
        return path

    def _run(self, spec: TestSpec, action: Action) -> RunResult:
        confinement = confinement_for(action, (spec.root.path,), spec.directory / "upper", spec.limits)
        result = self._sandbox.run(action.command, confinement, output=spec.log.write, cancel=spec.cancel)
        spec.log.peak_memory = max(spec.log.peak_memory, result.peak_memory)
        raise_for_result(result, STEP, spec.limits)
        return result
