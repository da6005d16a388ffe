"""The steps from a source directory to packages: root, dependencies, unpack, build, collect, test.

Jobs of the mesh and `cb-ctl build` share these steps, so that both give the same result.
Input: a directory with a source, and the artifacts that it may use. Output: the files that the build wrote into its
overlay, still in place. Must not know jobs, attempts or uploads.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

from cloud_builder.errors import Permanent
from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.limits import Limits
from cloud_builder.model.rebuild import Rebuild
from cloud_builder.model.unit import BUILD_ROOT_DESCRIPTION, Target
from cloud_builder.ports.buildroot import Buildroot
from cloud_builder.ports.recipe import Action, Output, PackageSource, Recipe
from cloud_builder.ports.sandbox import RunResult, Sandbox

from .build_log import BuildLog
from .buildroot_cache import BuildrootCache
from .layer_cache import Layer, LayerCache
from .layer_install import LayerSpec, confinement_for
from .manifest_tests import STEP, ManifestTests, TestSpec, tests_of
from .outcome import build_error, check_size, raise_for_result


@dataclass(frozen=True)
class BuildSpec:
    """Source and conditions of one build.

    source         the unit's directory
    directory      an empty directory on the disk for builds; the caller deletes it
    repositories   the state of the package repositories of the root that the assignment names; empty: the present one
    """

    source: Path
    directory: Path
    target: Target
    repositories: str = ""
    dependencies: tuple[Artifact, ...] = ()
    limits: Limits = field(default_factory=Limits)
    profiles: tuple[str, ...] = ()
    build_options: tuple[str, ...] = ()
    rebuild: Rebuild | None = None


@dataclass(frozen=True)
class BuiltPackages:
    """The files that a build wrote, and the version of the source as it was built."""

    version: str
    outputs: tuple[Output, ...]


@dataclass(frozen=True)
class PreparedBuild:
    """A source with its root and layer, ready to be unpacked."""

    spec: BuildSpec
    source: PackageSource
    root: Buildroot
    layer: Layer
    log: BuildLog
    cancel: Event


class BuildSteps:
    """Thread-safe. `cores`: parallel processes of one build, unless its limits name a number."""

    def __init__(
        self,
        roots: BuildrootCache,
        layers: LayerCache,
        tests: ManifestTests,
        *,
        sandbox: Sandbox,
        recipe: Recipe,
        cores: int,
    ) -> None:
        self._roots, self._layers, self._sandbox, self._recipe, self._cores = roots, layers, sandbox, recipe, cores
        self._tests = tests

    def build(self, spec: BuildSpec, log: BuildLog, cancel: Event) -> BuiltPackages:
        """Builds, and returns the files that the build wrote, below `spec.directory`.

        Raises Permanent, Retryable or Canceled, each with the cause."""
        with self._prepare(spec, log, cancel) as prepared:
            self._build(prepared)
            with log.step("collect"):
                outputs = self._recipe.collect(prepared.source, _upper(prepared), prepared.root.path)
                check_size(sum(output.path.stat().st_size for output in outputs), spec.limits)
                listed = _package_list(prepared)
            self._test(prepared, outputs)
            return BuiltPackages(prepared.source.built_version, (*outputs, listed))

    def shell(self, spec: BuildSpec, log: BuildLog, cancel: Event, *, after_failure: bool) -> int:
        """Runs a shell on the terminal, in the unpacked source; returns its exit status.

        `after_failure`: builds first and runs the shell where the build failed; returns 0 without a shell when the
        build succeeded."""
        with self._prepare(spec, log, cancel) as prepared:
            if after_failure:
                try:
                    self._build(prepared)
                except Permanent as failure:
                    log.note(failure.message)
                else:
                    return 0
            else:
                self._unpack(prepared)
            action = self._recipe.shell(prepared.source, self._parallel(prepared))
            return self._run(prepared, action, stdin=0).status

    @contextmanager
    def _prepare(self, spec: BuildSpec, log: BuildLog, cancel: Event) -> Iterator[PreparedBuild]:
        with log.step("source"):
            source = replace(
                self._recipe.read(spec.source),
                profiles=spec.profiles,
                build_options=spec.build_options,
                rebuild=spec.rebuild,
            )
            log.note(f"{source.name} {source.built_version}")
            if spec.profiles or spec.build_options:
                log.note(f"build profiles: {_words(spec.profiles)}; build options: {_words(spec.build_options)}")
        with log.step("root"):
            root = self._root(spec, log, cancel)
        with ExitStack() as stack:
            with log.step("dependencies"):
                layer_spec = LayerSpec(
                    root=root,
                    source=source,
                    arch=spec.target.arch,
                    dependencies=spec.dependencies,
                    limits=spec.limits,
                    log=log,
                    cancel=cancel,
                )
                layer = stack.enter_context(self._layers.acquire(layer_spec))
            yield PreparedBuild(spec, source, root, layer, log, cancel)

    def _root(self, spec: BuildSpec, log: BuildLog, cancel: Event) -> Buildroot:
        description = spec.source / BUILD_ROOT_DESCRIPTION
        if description.is_symlink() or not description.is_file():
            hint = "It lists the packages of the build root; sources-example has one to copy."
            raise Permanent(f"{BUILD_ROOT_DESCRIPTION} is missing", code="root", hint=hint)
        return self._roots.acquire(description, spec.target.name, spec.repositories, log.write, cancel)

    def _build(self, prepared: PreparedBuild) -> None:
        self._unpack(prepared)
        action = self._recipe.build(prepared.source, self._parallel(prepared))
        self._run_step("build", prepared, action)

    def _test(self, prepared: PreparedBuild, outputs: tuple[Output, ...]) -> None:
        """Runs the tests of the unit's manifest, if it has any."""
        spec = prepared.spec
        test = tests_of(spec.source)
        if test is None:
            return
        with prepared.log.step(STEP):
            test_spec = TestSpec(
                source=prepared.source,
                root=prepared.root,
                outputs=outputs,
                dependencies=spec.dependencies,
                directory=spec.directory / "test",
                limits=spec.limits,
                log=prepared.log,
                cancel=prepared.cancel,
            )
            self._tests.run(test, test_spec)

    def _unpack(self, prepared: PreparedBuild) -> None:
        self._run_step("unpack", prepared, self._recipe.unpack(prepared.source))

    def _run_step(self, step: str, prepared: PreparedBuild, action: Action) -> None:
        with prepared.log.step(step):
            result = self._run(prepared, action)
            if result.status != 0:
                raise build_error(prepared.source, step, result.status, prepared.log, prepared.spec.limits)

    def _run(self, prepared: PreparedBuild, action: Action, stdin: int | None = None) -> RunResult:
        """Runs an action in the sandbox. `stdin` 0: on the terminal, where no limits apply."""
        limits = None if stdin == 0 else prepared.spec.limits
        layers = (prepared.root.path, *prepared.layer.uppers)
        confinement = confinement_for(action, layers, _upper(prepared), limits)
        log = prepared.log
        result = self._sandbox.run(action.command, confinement, output=log.write, cancel=prepared.cancel, stdin=stdin)
        log.peak_memory = max(log.peak_memory, result.peak_memory)
        raise_for_result(result, log.current_step, prepared.spec.limits)
        return result

    def _parallel(self, prepared: PreparedBuild) -> int:
        return prepared.spec.limits.cpu or self._cores


def _words(words: tuple[str, ...]) -> str:
    return " ".join(words) or "none"


def _upper(prepared: PreparedBuild) -> Path:
    return prepared.spec.directory / "upper"


def _package_list(prepared: PreparedBuild) -> Output:
    """Copies the list of installed packages: the layer may be evicted once the build has ended."""
    source, version = prepared.source, prepared.source.built_version.rpartition(":")[2]
    path = prepared.spec.directory / f"{source.name}_{version}_{prepared.spec.target.arch}.packages"
    shutil.copyfile(prepared.layer.packages, path)
    return Output(path, ArtifactKind.PACKAGES)
