"""The builder of packages: carries out one attempt from fetch to upload, and deletes its directory afterwards.

Input: an assignment, which contains all that a build needs, or a directory of a working tree (`cb-ctl build`,
`cb-ctl shell`: no mesh). Output: the report of the attempt; its artifacts and log are in the object store.
Must not decide anything about jobs. `build` and `build_locally` never raise.
"""

from __future__ import annotations

import logging
import secrets
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from threading import Event

from cloud_builder.errors import Bug, CloudBuilderError, Permanent
from cloud_builder.files import directories
from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.events import AttemptFinished, JobAssigned
from cloud_builder.model.ids import RunnerId
from cloud_builder.ports.recipe import Output, Recipe
from cloud_builder.ports.sandbox import Sandbox
from cloud_builder.ports.source import SourceMirror
from cloud_builder.ports.store import ObjectStore

from .attempt_timeout import AttemptTimeout
from .build_log import BuildLog, unless_canceled
from .buildroot_cache import BuildrootCache
from .layer_cache import MAX_LAYER_BYTES, LayerCache
from .manifest_tests import ManifestTests
from .outcome import SUCCESS, BuildOutcome, outcome_of_error
from .steps import BuildSpec, BuildSteps
from .task import BuildTask, make_readable

_LOG = logging.getLogger("cb.runner")


class PackageBuilder:
    """Implements `ports.builder.Builder` for packages.

    work    a directory of this user alone, on a disk with room; several processes may share it
    cores   parallel processes of one build
    layer_bytes   of dependency layers that are kept
    """

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
        layer_bytes: int = MAX_LAYER_BYTES,
    ) -> None:
        self._runner_id, self._mirror, self._roots = RunnerId(runner_id), mirror, roots
        self._sandbox, self._recipe, self._store, self._jobs = sandbox, recipe, store, work / "jobs"
        self._layers = LayerCache(work / "layers", sandbox, store, recipe, layer_bytes)
        tests = ManifestTests(sandbox, store, recipe, work / "test-downloads")
        self._steps = BuildSteps(roots, self._layers, tests, sandbox=sandbox, recipe=recipe, cores=cores)
        for directory in (work, self._jobs, work / "layers"):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def build(self, assignment: JobAssigned, log: Callable[[bytes], None], cancel: Event) -> AttemptFinished:
        task = BuildTask(
            job_id=assignment.job_id,
            attempt=assignment.attempt,
            name=assignment.name,
            target=assignment.target,
            fetch=lambda into: self._export(assignment, into, cancel),
            repositories=assignment.repositories or "",
            dependencies=assignment.dependencies,
            limits=assignment.limits,
            profiles=assignment.profiles,
            build_options=assignment.build_options,
            rebuild=assignment.rebuild,
        )
        return self._carry_out(task, log, cancel)

    def build_locally(self, task: BuildTask, log: Callable[[bytes], None], cancel: Event) -> AttemptFinished:
        """Carries out a task without a mesh (`task_for_directory`). The artifacts are in the store afterwards."""
        return self._carry_out(task, log, cancel)

    def shell(
        self, task: BuildTask, log: Callable[[bytes], None], cancel: Event, *, after_failure: bool = False
    ) -> int:
        """Runs a shell on the terminal in the root, layer and unpacked source of a unit; returns its exit status.

        `after_failure`: builds first and runs the shell where the build failed; returns 0 without a shell when the
        build succeeded. Raises the errors that `build_locally` reports as an outcome, and Canceled."""
        with directories.own_directory(self._working_directory(task)) as working_directory:
            build_log = self._open_log(task, working_directory, log)
            try:
                spec = self._fetch(task, working_directory, build_log)
                return self._steps.shell(spec, build_log, cancel, after_failure=after_failure)
            finally:
                build_log.close()
                self._remove(working_directory)

    def buildroots(self) -> tuple[str, ...]:
        return self._roots.keys()

    def sweep(self) -> None:
        for directory in directories.abandoned_directories(self._jobs):
            self._sandbox.remove(directory)
        self._layers.sweep()
        self._roots.sweep()

    # --- one task ---------------------------------------------------------------------------------------------------

    def _carry_out(self, task: BuildTask, log: Callable[[bytes], None], cancel: Event) -> AttemptFinished:
        started = time.time()
        for abandoned in directories.abandoned_directories(self._jobs):
            self._remove(abandoned)
        directory = self._working_directory(task)
        try:
            with directories.own_directory(directory), AttemptTimeout(task.limits, cancel) as timeout:
                build_log = self._open_log(task, directory, log)
                return self._attempt(task, directory, build_log, cancel, timeout)
        except Exception as error:
            outcome = outcome_of_error(error, canceled=cancel.is_set())
            return self._report(task, outcome, started)
        finally:
            self._remove(directory)

    def _remove(self, directory: Path) -> None:
        """Removes a working directory. An error does not change the outcome: the next build tries again."""
        try:
            self._sandbox.remove(directory)
        except (CloudBuilderError, OSError) as error:
            _LOG.warning("left-behind", extra={"directory": directory, "why": str(error)})

    def _attempt(
        self, task: BuildTask, directory: Path, log: BuildLog, cancel: Event, timeout: AttemptTimeout
    ) -> AttemptFinished:
        artifacts: tuple[Artifact, ...] = ()
        failed_step, version, started = "", "", time.time()
        try:
            spec = self._fetch(task, directory, log)
            built = self._steps.build(spec, log, cancel)
            version = built.version
            with log.step("upload"):
                artifacts = tuple(self._upload(output) for output in unless_canceled(built.outputs, cancel))
            outcome = SUCCESS
        except Exception as error:
            failed_step = log.current_step
            outcome = outcome_of_error(error, canceled=cancel.is_set())
            if timeout.has_passed:
                outcome = timeout.outcome(failed_step)
            if outcome.code == "bug":
                log.note(traceback.format_exc())
        log.note(": ".join([f"==> {outcome.outcome.value}", *outcome.message.splitlines()[:1]]))
        log.close()
        log_artifact = self._upload(Output(log.path, ArtifactKind.LOG))
        return self._report(task, outcome, started).model_copy(
            update={
                "step": failed_step,
                "artifacts": artifacts,
                "log": log_artifact,
                "timings": log.timings,
                "peak_memory": log.peak_memory,
                "source_version": version,
            }
        )

    def _open_log(self, task: BuildTask, directory: Path, live: Callable[[bytes], None]) -> BuildLog:
        return BuildLog(directory / task.log_name, live, self._recipe.error_rank, task.limits.log)

    def _fetch(self, task: BuildTask, directory: Path, log: BuildLog) -> BuildSpec:
        source = directory / "source"
        with log.step("fetch"):
            task.fetch(source)
            make_readable(source)
        return BuildSpec(
            source=source,
            directory=directory,
            target=task.target,
            repositories=task.repositories,
            dependencies=task.dependencies,
            limits=task.limits,
            profiles=task.profiles,
            build_options=task.build_options,
            rebuild=task.rebuild,
        )

    def _export(self, assignment: JobAssigned, into: Path, cancel: Event) -> None:
        source, revision, directory = assignment.source, assignment.revision, assignment.directory
        self._mirror.export(source, assignment.url, revision, directory, into, cancel=cancel)
        tree = self._mirror.tree_id(source, revision, directory)
        if tree != assignment.tree:
            message = f"{directory} at {revision} is tree {tree}; the assignment names tree {assignment.tree}"
            raise Bug(message, code="tree")

    def _upload(self, output: Output) -> Artifact:
        try:
            digest, size = self._store.put(output.path)
        except PermissionError as cause:
            hint = "Let debian/rules make the files that it writes readable for the build user."
            raise Permanent(f"upload: {output.path.name} cannot be read", code="outputs", hint=hint) from cause
        return Artifact(name=output.path.name, sha256=digest, size=size, kind=output.kind, package=output.package)

    def _working_directory(self, task: BuildTask) -> Path:
        return self._jobs / f"{task.job_id}.{task.attempt}.{secrets.token_hex(4)}"

    def _report(self, task: BuildTask, outcome: BuildOutcome, started: float) -> AttemptFinished:
        return AttemptFinished(
            job_id=task.job_id,
            attempt=task.attempt,
            runner_id=self._runner_id,
            outcome=outcome.outcome,
            code=outcome.code,
            message=outcome.message,
            hint=outcome.hint,
            started_at=started,
            finished_at=time.time(),
        )
