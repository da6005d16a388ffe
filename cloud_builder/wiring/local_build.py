"""Builds a working tree as it is, without a mesh, with the same discovery, order, build root and recipe as a mesh.

Input: a unit's directory. The units of the same tree that it needs are built before it, in order. The artifacts are in
a separate store below the cache; build roots are shared with the runners of this machine.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Event

from cloud_builder.adapters.deb import binary_package
from cloud_builder.adapters.deb.control import DebMetadata
from cloud_builder.adapters.deb.repository_state import OfflineStates, ReleaseStates
from cloud_builder.adapters.deb.source import check_source
from cloud_builder.adapters.store.directory import DirectoryStore
from cloud_builder.builder.task import BuildTask, task_for_directory
from cloud_builder.errors import CloudBuilderError, Rejected
from cloud_builder.flow.request import check_tree, discover_tree
from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.events import AttemptFinished
from cloud_builder.model.ids import Revision, SourceName
from cloud_builder.model.manifest import MANIFEST
from cloud_builder.model.nearest import did_you_mean
from cloud_builder.model.outcome import BUILD_DEPENDENCY, DEPENDENCY_CYCLE, Kind
from cloud_builder.model.settings import Settings
from cloud_builder.model.unit import BUILD_ROOT_DESCRIPTION, Problem, Target, Unit
from cloud_builder.planning.graph.build import build_graph
from cloud_builder.planning.graph.graph import Graph, Node, Origin, SourceSnapshot
from cloud_builder.planning.graph.nearest_provider import with_nearest
from cloud_builder.planning.inputs.closure import closure, find_in
from cloud_builder.ports.metadata import BrokenMetadata

from .assemble import builder, repository_states

Log = Callable[[bytes], None]
LOCAL_SOURCE = SourceName("here")


@dataclass(frozen=True)
class BuildStep:
    """A unit to build for a target. `is_requested`: named by the user, and not only needed by the named unit."""

    directory: Path
    unit: Unit
    target: Target
    is_requested: bool
    graph: Graph
    """Of all units of the tree."""

    def explain(self, finished: AttemptFinished) -> AttemptFinished:
        """Returns the report of the step; one without build dependencies also says what the units have instead."""
        if finished.code != BUILD_DEPENDENCY:
            return finished
        number = self.graph.number[Node(LOCAL_SOURCE, self.unit.path, self.target.name)]
        return finished.model_copy(update={"message": with_nearest(finished.message, self.graph, number)})


class BrokenUnit(Rejected):
    """The problems of a unit, each with its line. `needed_by`: the unit that needs it; empty: it is named itself."""

    def __init__(self, problems: Sequence[Problem], needed_by: str = "") -> None:
        first = [f"{needed_by} needs {problems[0].path}, which cannot be read:"] if needed_by else []
        super().__init__("\n".join([*first, *map(str, problems)]), code="broken-unit")


def check(root: Path) -> tuple[tuple[Unit, ...], tuple[Problem, ...]]:
    """Returns the units and the problems of a tree. Needs no network."""
    return check_tree(root, [DebMetadata()], OfflineStates())


def check_sources(root: Path, units: Sequence[Unit]) -> tuple[Problem, ...]:
    """Returns the problems that the step `source` of a build would find in these units, such as a wrong checksum."""
    problems = []
    for unit in units:
        if unit.kind is Kind.PACKAGE:
            try:
                check_source(root / unit.directory, _top(root.resolve()))
            except BrokenMetadata as error:
                file = (PurePosixPath(unit.directory) / error.file).as_posix()
                message, hint = error.message, error.hint
                problems.append(Problem(path=unit.path, file=file, line=error.line, message=message, hint=hint))
    return tuple(problems)


def plan(directory: Path, target: str | None, *, with_needs: bool) -> list[BuildStep]:
    """Returns the steps in order. Rejected for a directory without a unit, a broken unit, or an unknown target."""
    directory = directory.resolve()
    if not (directory / MANIFEST).is_file():
        raise _no_unit(directory)
    root = _top(directory)
    discovered = discover_tree(root, [DebMetadata()], OfflineStates())
    relative = "" if directory == root else directory.relative_to(root).as_posix()
    unit = next((unit for unit in discovered.units if unit.directory == relative), None)
    if unit is None or unit.problems:
        own = [problem for problem in discovered.problems if (problem.file or problem.path).startswith(relative)]
        raise BrokenUnit(unit.problems if unit else own or discovered.problems)
    graph = build_graph([SourceSnapshot(LOCAL_SOURCE, Origin("", Revision("")), discovered.units)])
    requested = graph.units_for(LOCAL_SOURCE, [unit.path], [chosen.name for chosen in _targets(unit, target)])
    numbers = graph.topological_order(graph.transitive_needs(requested) if with_needs else requested)
    for broken in (graph.units[number] for number in numbers):
        if broken.problems:
            raise BrokenUnit(broken.problems, needed_by=unit.path)
    _check_cycles(graph, numbers)
    return [
        BuildStep(
            directory=root / graph.units[number].directory,
            unit=graph.units[number],
            target=graph.targets[number],
            is_requested=number in requested,
            graph=graph,
        )
        for number in numbers
    ]


def _check_cycles(graph: Graph, numbers: Sequence[int]) -> None:
    """Rejected for a dependency cycle: only a mesh builds in rounds, with the published packages."""
    cycles = (graph.component_of(number) for number in numbers)
    cycle = next((members for members in cycles if len({*members}.intersection(numbers)) > 1), None)
    if cycle is not None:
        names = ", ".join(graph.nodes[member].unit for member in cycle)
        raise Rejected(
            f"units build-depend on each other: {names}",
            code=DEPENDENCY_CYCLE,
            hint="Build one alone with --no-deps, and give the packages that it needs with --with FILE.deb.",
        )


class LocalBuilds:
    """The builds of one command. A step can use the packages of the steps before it."""

    def __init__(self, settings: Settings, given: Sequence[Path] = ()) -> None:
        """`given`: .deb files of the user, which the builds can use, too."""
        directory = settings.cache / "local"
        self.store = DirectoryStore(directory / "store")
        self._builder = builder(settings, directory / "work", self.store, "local")
        self._builder.sweep()
        self._states: ReleaseStates = repository_states(settings)
        self._limits = settings.runner.limits
        self._given = [self._store_package(path) for path in given]
        self._artifacts: dict[str, list[Artifact]] = {}

    def build(self, step: BuildStep, log: Log, cancel: Event) -> AttemptFinished:
        """Builds a step. Does not raise; the artifacts are in `store`."""
        finished = self._builder.build_locally(self._task(step), log, cancel)
        self._artifacts.setdefault(step.target.name, []).extend(finished.artifacts)
        return step.explain(finished)

    def shell(self, step: BuildStep, log: Log, cancel: Event, *, after_failure: bool) -> int:
        """Opens a shell in the build root, with the source unpacked; returns its exit status."""
        return self._builder.shell(self._task(step), log, cancel, after_failure=after_failure)

    def deliver(self, artifact: Artifact, directory: Path) -> Path:
        """Copies an artifact out of the store; returns where it is."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / artifact.name
        path.unlink(missing_ok=True)
        with self.store.open(artifact.sha256) as source, path.open("wb") as file:
            while chunk := source.read(1024 * 1024):
                file.write(chunk)
        return path

    def _task(self, step: BuildStep) -> BuildTask:
        return task_for_directory(
            step.directory,
            step.target,
            self._dependencies(step),
            self._limits,
            profiles=step.unit.profiles,
            build_options=step.unit.build_options,
            repositories=self._repositories(step),
        )

    def _dependencies(self, step: BuildStep) -> tuple[Artifact, ...]:
        find = find_in([*self._artifacts.get(step.target.name, ()), *self._given])
        return closure(step.unit.build_depends, step.target.arch, find, profiles=step.unit.profiles)

    def _repositories(self, step: BuildStep) -> str:
        """Returns the state of the package repositories of a unit, as cb-request determines it for the mesh.

        It is empty for a description that cannot be read, which the build reports."""
        try:
            description = (step.directory / BUILD_ROOT_DESCRIPTION).read_bytes()
            return self._states.state(description, [target.name for target in step.unit.targets])
        except (CloudBuilderError, OSError):
            return ""

    def _store_package(self, path: Path) -> Artifact:
        package = binary_package.binary_package(binary_package.read(path))
        digest, size = self.store.put(path)
        return Artifact(name=path.name, sha256=digest, size=size, kind=ArtifactKind.DEB, package=package)


def _top(directory: Path) -> Path:
    """Returns the git working tree that a directory is in; the directory itself if it is in none."""
    return next((parent for parent in (directory, *directory.parents) if (parent / ".git").exists()), directory)


def _targets(unit: Unit, name: str | None) -> list[Target]:
    """Returns the target with this name; without a name the targets of this machine's architecture."""
    if name:
        found = [target for target in unit.targets if target.name == name]
        hint = did_you_mean(name, [target.name for target in unit.targets])
        message = f"{unit.path}: no target {name!r}"
    else:
        found = [target for target in unit.targets if target.arch == platform.machine()]
        hint = f"Its targets: {', '.join(target.name for target in unit.targets)}."
        message = f"{unit.path}: no target of this machine's architecture ({platform.machine()})"
    if not found:
        raise Rejected(message, code="unknown-target", hint=hint)
    return found


def _no_unit(directory: Path) -> Rejected:
    if not directory.is_dir():
        units = [str(path) for path in directory.parent.glob("*/") if (path / MANIFEST).is_file()]
        hint = did_you_mean(str(directory), units) or "Give the path of a unit's directory."
        return Rejected(f"{directory}: no such directory", code="no-unit", hint=hint)
    below = sorted(str(path.parent.parent) for path in directory.glob(f"*/{MANIFEST}"))
    below += sorted(str(path.parent.parent) for path in directory.glob(f"*/*/{MANIFEST}"))
    hint = f"Units below it: {', '.join(below[:5])}" if below else f"A unit is a directory with {MANIFEST}."
    return Rejected(f"{directory}: not a unit", code="no-unit", hint=hint)
