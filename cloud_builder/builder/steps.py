"""From a directory with a source to packages: root, dependencies, build, collect. The steps that a job of the mesh and
`cb-ctl build` share, so that both give the same.

In come a source's directory and what it may use; out go the files the build left in its overlay, still in place. It
knows no jobs, attempts or uploads.
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
from cloud_builder.model.unit import Target
from cloud_builder.ports.buildroot import Buildroot
from cloud_builder.ports.recipe import Action, Output, PackageSource, Recipe
from cloud_builder.ports.sandbox import RunResult, Sandbox

from .build_log import BuildLog
from .buildroot_cache import BuildrootCache
from .layer_cache import Layer, LayerCache, LayerSpec, confinement_for
from .outcome import build_failed, check_size, raise_for_result

DESCRIPTION = Path(".cb/build_root.kiwi")


@dataclass(frozen=True)
class BuildSpec:
    """What to build. `source`: the unit's directory; `place`: an empty directory of ours on the disk for builds.

    `repositories` is the state of the package repositories of the root, as the order says; empty: as they are."""

    source: Path
    directory: Path
    target: Target
    repositories: str = ""
    dependencies: tuple[Artifact, ...] = ()
    limits: Limits = field(default_factory=Limits)
    profiles: tuple[str, ...] = ()


@dataclass(frozen=True)
class PreparedBuild:
    """A source ready to be unpacked on its root and layer."""

    commission: BuildSpec
    source: PackageSource
    root: Buildroot
    layer: Layer
    progress: BuildLog
    cancel: Event


class BuildSteps:
    """Thread-safe. `cores`: parallel jobs of one build, unless its limits name a number."""

    def __init__(self, roots: BuildrootCache, layers: LayerCache, sandbox: Sandbox, recipe: Recipe, cores: int) -> None:
        self._roots, self._layers, self._sandbox, self._recipe, self._cores = roots, layers, sandbox, recipe, cores

    def build(self, commission: BuildSpec, progress: BuildLog, cancel: Event) -> tuple[Output, ...]:
        """What the build left, below `commission.place`. Permanent, Retryable or Canceled, all with the cause."""
        with self._ready(commission, progress, cancel) as bench:
            self._build(bench)
            with progress.step("collect"):
                outputs = self._recipe.collect(bench.source, _upper(bench))
                check_size(sum(output.path.stat().st_size for output in outputs), bench.commission.limits)
                return (*outputs, _installed(bench))

    def shell(self, commission: BuildSpec, progress: BuildLog, cancel: Event, *, after_failure: bool) -> int:
        """A shell on the terminal, in the unpacked source; returns its exit status. `after_failure`: builds first,
        and opens it where the build failed; 0 without a shell when it did not."""
        with self._ready(commission, progress, cancel) as bench:
            if after_failure:
                try:
                    self._build(bench)
                except Permanent as failure:
                    progress.note(failure.message)
                else:
                    return 0
            else:
                self._unpack(bench)
            action = self._recipe.shell(bench.source, self._jobs(bench))
            return self._run(bench, action, stdin=0).status

    @contextmanager
    def _ready(self, commission: BuildSpec, progress: BuildLog, cancel: Event) -> Iterator[PreparedBuild]:
        with progress.step("source"):
            source = replace(self._recipe.read(commission.source), profiles=commission.profiles)
            progress.note(f"{source.name} {source.version}")
        with progress.step("root"):
            root = self._root(commission, progress, cancel)
        with ExitStack() as held:
            with progress.step("dependencies"):
                layer = held.enter_context(
                    self._layers.acquire(
                        LayerSpec(
                            root=root,
                            source=source,
                            arch=commission.target.arch,
                            dependencies=commission.dependencies,
                            limits=commission.limits,
                            progress=progress,
                            cancel=cancel,
                        )
                    )
                )
            yield PreparedBuild(commission, source, root, layer, progress, cancel)

    def _root(self, commission: BuildSpec, progress: BuildLog, cancel: Event) -> Buildroot:
        description = commission.source / DESCRIPTION
        if description.is_symlink() or not description.is_file():
            hint = "It lists the packages of the build root; sources-example has one to copy."
            raise Permanent(f"{DESCRIPTION} is missing", code="root", hint=hint)
        profile = commission.target.name
        return self._roots.acquire(description, profile, commission.repositories, progress.write, cancel)

    def _build(self, bench: PreparedBuild) -> None:
        self._unpack(bench)
        with bench.progress.step("build"):
            ended = self._run(bench, self._recipe.build(bench.source, self._jobs(bench)))
            if ended.status != 0:
                raise build_failed(bench.source, "build", ended.status, bench.progress, bench.commission.limits)

    def _unpack(self, bench: PreparedBuild) -> None:
        with bench.progress.step("unpack"):
            ended = self._run(bench, self._recipe.unpack(bench.source))
            if ended.status != 0:
                raise build_failed(bench.source, "unpack", ended.status, bench.progress, bench.commission.limits)

    def _run(self, bench: PreparedBuild, action: Action, stdin: int | None = None) -> RunResult:
        limits = None if stdin == 0 else bench.commission.limits
        confinement = confinement_for(action, (bench.root.path, *bench.layer.uppers), _upper(bench), limits)
        ended = self._sandbox.run(
            action.command, confinement, output=bench.progress.write, cancel=bench.cancel, stdin=stdin
        )
        bench.progress.peak_memory = max(bench.progress.peak_memory, ended.peak_memory)
        raise_for_result(ended, bench.progress.current_step, bench.commission.limits)
        return ended

    def _jobs(self, bench: PreparedBuild) -> int:
        return bench.commission.limits.cpu or self._cores


def _upper(bench: PreparedBuild) -> Path:
    return bench.commission.directory / "upper"


def _installed(bench: PreparedBuild) -> Output:
    """The list of installed packages, copied: the layer may go once we let go of it."""
    version = bench.source.version.rpartition(":")[2]
    path = bench.commission.directory / f"{bench.source.name}_{version}_{bench.commission.target.arch}.packages"
    shutil.copyfile(bench.layer.packages, path)
    return Output(path, ArtifactKind.PACKAGES)
