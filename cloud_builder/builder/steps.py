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
from cloud_builder.ports.sandbox import Ended, Sandbox

from .build_log import Progress
from .buildroot_cache import Buildroots
from .layer_cache import Layer, Layers, Needs, confined
from .outcome import build_failed, check, check_size

DESCRIPTION = Path(".cb/build_root.kiwi")


@dataclass(frozen=True)
class Commission:
    """What to build. `source`: the unit's directory; `place`: an empty directory of ours on the disk for builds.

    `repositories` is the state of the package repositories of the root, as the order says; empty: as they are."""

    source: Path
    place: Path
    target: Target
    repositories: str = ""
    dependencies: tuple[Artifact, ...] = ()
    limits: Limits = field(default_factory=Limits)
    profiles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bench:
    """A source ready to be unpacked on its root and layer."""

    commission: Commission
    source: PackageSource
    root: Buildroot
    layer: Layer
    progress: Progress
    cancel: Event


class Workbench:
    """Thread-safe. `cores`: parallel jobs of one build, unless its limits name a number."""

    def __init__(self, roots: Buildroots, layers: Layers, sandbox: Sandbox, recipe: Recipe, cores: int) -> None:
        self._roots, self._layers, self._sandbox, self._recipe, self._cores = roots, layers, sandbox, recipe, cores

    def build(self, commission: Commission, progress: Progress, cancel: Event) -> tuple[Output, ...]:
        """What the build left, below `commission.place`. Permanent, Retryable or Canceled, all with the cause."""
        with self._ready(commission, progress, cancel) as bench:
            self._build(bench)
            with progress.during("collect"):
                outputs = self._recipe.collect(bench.source, _upper(bench))
                check_size(sum(output.path.stat().st_size for output in outputs), bench.commission.limits)
                return (*outputs, _installed(bench))

    def shell(self, commission: Commission, progress: Progress, cancel: Event, *, after_failure: bool) -> int:
        """A shell on the terminal, in the unpacked source; returns its exit status. `after_failure`: builds first,
        and opens it where the build failed; 0 without a shell when it did not."""
        with self._ready(commission, progress, cancel) as bench:
            if after_failure:
                try:
                    self._build(bench)
                except Permanent as failure:
                    progress.say(failure.message)
                else:
                    return 0
            else:
                self._unpack(bench)
            action = self._recipe.shell(bench.source, self._jobs(bench))
            return self._run(bench, action, stdin=0).status

    @contextmanager
    def _ready(self, commission: Commission, progress: Progress, cancel: Event) -> Iterator[Bench]:
        with progress.during("source"):
            source = replace(self._recipe.read(commission.source), profiles=commission.profiles)
            progress.say(f"{source.name} {source.version}")
        with progress.during("root"):
            root = self._root(commission, progress, cancel)
        with ExitStack() as held:
            with progress.during("dependencies"):
                layer = held.enter_context(
                    self._layers.ready(
                        Needs(
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
            yield Bench(commission, source, root, layer, progress, cancel)

    def _root(self, commission: Commission, progress: Progress, cancel: Event) -> Buildroot:
        description = commission.source / DESCRIPTION
        if description.is_symlink() or not description.is_file():
            hint = "It lists the packages of the build root; sources-example has one to copy."
            raise Permanent(f"{DESCRIPTION} is missing", code="root", hint=hint)
        profile = commission.target.name
        return self._roots.ready(description, profile, commission.repositories, progress.write, cancel)

    def _build(self, bench: Bench) -> None:
        self._unpack(bench)
        with bench.progress.during("build"):
            ended = self._run(bench, self._recipe.build(bench.source, self._jobs(bench)))
            if ended.status != 0:
                raise build_failed(bench.source, "build", ended.status, bench.progress, bench.commission.limits)

    def _unpack(self, bench: Bench) -> None:
        with bench.progress.during("unpack"):
            ended = self._run(bench, self._recipe.unpack(bench.source))
            if ended.status != 0:
                raise build_failed(bench.source, "unpack", ended.status, bench.progress, bench.commission.limits)

    def _run(self, bench: Bench, action: Action, stdin: int | None = None) -> Ended:
        limits = None if stdin == 0 else bench.commission.limits
        confinement = confined(action, (bench.root.path, *bench.layer.uppers), _upper(bench), limits)
        ended = self._sandbox.run(
            action.command, confinement, output=bench.progress.write, cancel=bench.cancel, stdin=stdin
        )
        bench.progress.peak_memory = max(bench.progress.peak_memory, ended.peak_memory)
        check(ended, bench.progress.step, bench.commission.limits)
        return ended

    def _jobs(self, bench: Bench) -> int:
        return bench.commission.limits.cpu or self._cores


def _upper(bench: Bench) -> Path:
    return bench.commission.place / "upper"


def _installed(bench: Bench) -> Output:
    """The list of installed packages, copied: the layer may go once we let go of it."""
    version = bench.source.version.rpartition(":")[2]
    path = bench.commission.place / f"{bench.source.name}_{version}_{bench.commission.target.arch}.packages"
    shutil.copyfile(bench.layer.packages, path)
    return Output(path, ArtifactKind.PACKAGES)
