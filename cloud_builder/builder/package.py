"""The builder of packages: carries out one order from fetch to upload, and cleans up behind itself.

In comes a self-contained order, or a directory of a working tree (`cb-ctl build`, `cb-ctl shell`: no mesh); out goes
how it ended, with everything it made in the object store. It decides nothing about jobs, and never raises.
"""

from __future__ import annotations

import logging
import secrets
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event

from cloud_builder.errors import Bug, CloudBuilderError, Permanent
from cloud_builder.files import directories
from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.events import AttemptFinished, JobAssigned
from cloud_builder.model.ids import RunnerId
from cloud_builder.model.limits import Limits
from cloud_builder.model.unit import Target
from cloud_builder.ports.recipe import Output, Recipe
from cloud_builder.ports.sandbox import Sandbox
from cloud_builder.ports.source import SourceMirror
from cloud_builder.ports.store import ObjectStore

from .attempt_timeout import AttemptTimeout
from .build_log import BuildLog, unless_canceled
from .buildroot_cache import BuildrootCache
from .layer_cache import LayerCache
from .outcome import SUCCESS, BuildOutcome, outcome_of_error
from .steps import BuildSpec, BuildSteps
from .task import BuildTask, make_readable, task_for_directory

_LOG = logging.getLogger("cb.runner")


class PackageBuilder:
    """ports.builder.Builder for packages. Several processes may share `work`, a directory of this user alone on a
    disk with room; `cores`: parallel jobs of one build."""

    def __init__(
        self,
        *,
        runner_id: str,
        mirror: SourceMirror,
        roots: BuildrootCache,
        sandbox: Sandbox,
        recipe: Recipe,
        store: ObjectStore,
        work: Path,
        cores: int,
    ) -> None:
        self._runner_id, self._mirror, self._roots = RunnerId(runner_id), mirror, roots
        self._sandbox, self._recipe, self._store, self._jobs = sandbox, recipe, store, work / "jobs"
        self._layers = LayerCache(work / "layers", sandbox, store, recipe)
        self._bench = BuildSteps(roots, self._layers, sandbox, recipe, cores)
        for directory in (work, self._jobs, work / "layers"):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def build(self, order: JobAssigned, log: Callable[[bytes], None], cancel: Event) -> AttemptFinished:
        task = BuildTask(
            job_id=order.job_id,
            attempt=order.attempt,
            name=order.name,
            target=order.target,
            fetch=lambda into: self._export(order, into, cancel),
            repositories=order.repositories or "",
            dependencies=order.dependencies,
            limits=order.limits,
            profiles=order.profiles,
        )
        return self._carry_out(task, log, cancel)

    def build_directory(
        self,
        directory: Path,
        target: Target,
        *,
        log: Callable[[bytes], None],
        cancel: Event,
        dependencies: Sequence[Artifact] = (),
        limits: Limits | None = None,
    ) -> AttemptFinished:
        """The same for a unit's directory as it is, without any mesh. What it made is in the store."""
        return self._carry_out(task_for_directory(directory, target, dependencies, limits), log, cancel)

    def shell(
        self,
        directory: Path,
        target: Target,
        *,
        log: Callable[[bytes], None],
        cancel: Event,
        dependencies: Sequence[Artifact] = (),
        limits: Limits | None = None,
        after_failure: bool = False,
    ) -> int:
        """A shell on our terminal in the root, layer and unpacked source of a unit; returns its exit status.

        `after_failure`: builds first, and opens it where the build failed; 0 without one when it succeeded. Raises
        what `build_directory` tells as an outcome, and Canceled."""
        task = task_for_directory(directory, target, dependencies, limits)
        with directories.own_directory(self._working_directory(task)) as job:
            progress = BuildLog(job / task.log_name, log, self._recipe.error_rank, task.limits.log)
            try:
                commission = self._fetch(task, job, progress)
                return self._bench.shell(commission, progress, cancel, after_failure=after_failure)
            finally:
                progress.close()
                self._clear(job)

    def buildroots(self) -> tuple[str, ...]:
        return self._roots.keys()

    def sweep(self) -> None:
        for job in directories.abandoned_directories(self._jobs):
            self._sandbox.remove(job)
        self._layers.sweep()
        self._roots.sweep()

    # --- one task ---------------------------------------------------------------------------------------------------

    def _carry_out(self, task: BuildTask, log: Callable[[bytes], None], cancel: Event) -> AttemptFinished:
        started = time.time()
        for left in directories.abandoned_directories(self._jobs):
            self._clear(left)
        job = self._working_directory(task)
        try:
            with directories.own_directory(job), AttemptTimeout(task.limits, cancel) as deadline:
                progress = BuildLog(job / task.log_name, log, self._recipe.error_rank, task.limits.log)
                return self._attempt(task, job, progress, cancel, deadline)
        except Exception as error:
            verdict = outcome_of_error(error, canceled=cancel.is_set())
            return self._finished(task, verdict, started)
        finally:
            self._clear(job)

    def _clear(self, job: Path) -> None:
        """What cannot be removed now changes nothing about how a build ended; the next one tries again."""
        try:
            self._sandbox.remove(job)
        except (CloudBuilderError, OSError) as error:
            _LOG.warning("left-behind", extra={"directory": job, "why": str(error)})

    def _attempt(
        self, task: BuildTask, job: Path, progress: BuildLog, cancel: Event, deadline: AttemptTimeout
    ) -> AttemptFinished:
        artifacts: tuple[Artifact, ...] = ()
        step, started = "", time.time()
        try:
            commission = self._fetch(task, job, progress)
            outputs = self._bench.build(commission, progress, cancel)
            with progress.step("upload"):
                artifacts = tuple(self._upload(output) for output in unless_canceled(outputs, cancel))
            verdict = SUCCESS
        except Exception as error:
            verdict, step = outcome_of_error(error, canceled=cancel.is_set()), progress.current_step
            verdict = deadline.verdict(step) if deadline.has_passed else verdict
            if verdict.code == "bug":
                progress.note(traceback.format_exc())
        progress.note(": ".join([f"==> {verdict.outcome.value}", *verdict.message.splitlines()[:1]]))
        progress.close()
        log = self._upload(Output(progress.log, ArtifactKind.LOG))
        finished = self._finished(task, verdict, started)
        return finished.model_copy(
            update={
                "step": step,
                "artifacts": artifacts,
                "log": log,
                "timings": progress.timings,
                "peak_memory": progress.peak_memory,
            }
        )

    def _fetch(self, task: BuildTask, job: Path, progress: BuildLog) -> BuildSpec:
        with progress.step("fetch"):
            task.fetch(job / "source")
            make_readable(job / "source")
        return BuildSpec(
            job / "source", job, task.target, task.repositories, task.dependencies, task.limits, task.profiles
        )

    def _export(self, order: JobAssigned, into: Path, cancel: Event) -> None:
        self._mirror.export(order.source, order.url, order.revision, order.directory, into, cancel=cancel)
        tree = self._mirror.tree_id(order.source, order.revision, order.directory)
        if tree != order.tree:
            raise Bug(f"{order.directory} at {order.revision} is tree {tree}, ordered was {order.tree}", code="tree")

    def _upload(self, output: Output) -> Artifact:
        try:
            digest, size = self._store.put(output.path)
        except PermissionError as cause:
            hint = "debian/rules must leave its files readable."
            raise Permanent(f"{output.path.name} cannot be read", code="outputs", hint=hint) from cause
        return Artifact(name=output.path.name, sha256=digest, size=size, kind=output.kind, package=output.package)

    def _working_directory(self, task: BuildTask) -> Path:
        return self._jobs / f"{task.job_id}.{task.attempt}.{secrets.token_hex(4)}"

    def _finished(self, task: BuildTask, verdict: BuildOutcome, started: float) -> AttemptFinished:
        return AttemptFinished(
            job_id=task.job_id,
            attempt=task.attempt,
            runner_id=self._runner_id,
            outcome=verdict.outcome,
            code=verdict.code,
            message=verdict.message,
            hint=verdict.hint,
            started_at=started,
            finished_at=time.time(),
        )
