"""Building a working tree as it is, without any mesh: the same discovery, order, root and recipe as in it.

A unit's directory comes in; the units of the same tree that its build needs are built before it, in order. Artifacts
lie in a store of their own below the cache; buildroots are shared with the runners of this machine.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from cloud_builder.adapters.deb import binary_package
from cloud_builder.adapters.deb.control import DebMetadata
from cloud_builder.adapters.deb.repository_state import OfflineStates
from cloud_builder.adapters.store.directory import DirectoryStore
from cloud_builder.errors import Rejected
from cloud_builder.flow.request import check_tree
from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.events import AttemptFinished
from cloud_builder.model.ids import Revision, SourceName
from cloud_builder.model.manifest import MANIFEST
from cloud_builder.model.nearest import did_you_mean
from cloud_builder.model.settings import Settings
from cloud_builder.model.unit import Problem, Target, Unit
from cloud_builder.planning.graph.graph import Graph, Origin, SourceSnapshot, build_graph
from cloud_builder.planning.inputs.closure import closure, find_in

from .assemble import builder

Log = Callable[[bytes], None]
LOCAL_SOURCE = SourceName("here")


@dataclass(frozen=True)
class BuildStep:
    """One unit to be built for one target. `wanted`: named by the user, and not only needed by what is."""

    directory: Path
    unit: Unit
    target: Target
    wanted: bool


class BrokenUnit(Rejected):
    """The unit has problems; each with its line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)), code="broken-unit")


def check(root: Path) -> tuple[tuple[Unit, ...], tuple[Problem, ...]]:
    """Units and problems of a tree; asks no network."""
    return check_tree(root, [DebMetadata()], OfflineStates())


def plan(directory: Path, target: str | None, *, with_needs: bool) -> list[BuildStep]:
    """What to build, in order. Rejected for what is no unit, a broken one, or a target it does not have."""
    directory = directory.resolve()
    if not (directory / MANIFEST).is_file():
        raise _no_unit(directory)
    root = _top(directory)
    units, problems = check(root)
    place = "" if directory == root else directory.relative_to(root).as_posix()
    unit = next((unit for unit in units if unit.directory == place), None)
    if unit is None:
        raise BrokenUnit([each for each in problems if (each.file or each.path).startswith(place)] or problems)
    whole = build_graph([SourceSnapshot(LOCAL_SOURCE, Origin("", Revision("")), units)])
    wanted = whole.units_for(LOCAL_SOURCE, [unit.path], [chosen.name for chosen in _targets(unit, target)])
    numbers = whole.topological_order(whole.transitive_needs(wanted) if with_needs else wanted)
    _check_cycles(whole, numbers)
    return [
        BuildStep(root / whole.units[number].directory, whole.units[number], whole.targets[number], number in wanted)
        for number in numbers
    ]


def _check_cycles(whole: Graph, numbers: Sequence[int]) -> None:
    """Only the mesh builds in rounds, and with what is published."""
    found = next((one for one in numbers if len({*whole.component_of(one)}.intersection(numbers)) > 1), None)
    if found is not None:
        names = ", ".join(whole.nodes[member].unit for member in whole.component_of(found))
        raise Rejected(
            f"units build-depend on each other: {names}",
            code="dependency-cycle",
            hint="Build one alone: cb-ctl build --no-deps DIR, with --with FILE.deb for what it needs of the others.",
        )


class LocalBuilds:
    """Builds steps; what one makes, the next ones may use."""

    def __init__(self, settings: Settings, given: Sequence[Path] = ()) -> None:
        """`given`: .deb files of the user that builds may use, too."""
        here = settings.cache / "local"
        self.store = DirectoryStore(here / "store")
        self._builder = builder(settings, here / "work", self.store, "local")
        self._builder.sweep()
        self._limits = settings.runner.limits
        self._given = [self._stored(path) for path in given]
        self._made: dict[str, list[Artifact]] = {}

    def build(self, step: BuildStep, log: Log, cancel: Event) -> AttemptFinished:
        """Never raises; what it made is in `store`."""
        ended = self._builder.build_directory(
            step.directory,
            step.target,
            log=log,
            cancel=cancel,
            dependencies=self._dependencies(step),
            limits=self._limits,
        )
        self._made.setdefault(step.target.name, []).extend(ended.artifacts)
        return ended

    def shell(self, step: BuildStep, log: Log, cancel: Event, *, after_failure: bool) -> int:
        """A shell in the buildroot, with the source unpacked; its exit status."""
        return self._builder.shell(
            step.directory,
            step.target,
            log=log,
            cancel=cancel,
            dependencies=self._dependencies(step),
            limits=self._limits,
            after_failure=after_failure,
        )

    def deliver(self, artifact: Artifact, directory: Path) -> Path:
        """Copies an artifact out of the store; returns where it is."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / artifact.name
        path.unlink(missing_ok=True)
        with self.store.open(artifact.sha256) as source, path.open("wb") as file:
            while piece := source.read(1024 * 1024):
                file.write(piece)
        return path

    def _dependencies(self, step: BuildStep) -> tuple[Artifact, ...]:
        ours = find_in([*self._made.get(step.target.name, ()), *self._given])
        return closure(step.unit.build_depends, step.target.arch, ours)

    def _stored(self, path: Path) -> Artifact:
        package = binary_package.binary_package(binary_package.read(path))
        digest, size = self.store.put(path)
        return Artifact(name=path.name, sha256=digest, size=size, kind=ArtifactKind.DEB, package=package)


def _top(directory: Path) -> Path:
    """The working tree that a directory lies in; itself when it lies in none."""
    return next((parent for parent in (directory, *directory.parents) if (parent / ".git").exists()), directory)


def _targets(unit: Unit, wanted: str | None) -> list[Target]:
    """The target of that name; without one those of this machine's architecture."""
    if wanted:
        found = [target for target in unit.targets if target.name == wanted]
        hint = did_you_mean(wanted, [target.name for target in unit.targets])
        what = f"{unit.path}: no target {wanted!r}"
    else:
        found = [target for target in unit.targets if target.arch == platform.machine()]
        hint = f"Its targets: {', '.join(target.name for target in unit.targets)}."
        what = f"{unit.path}: no target of this machine's architecture ({platform.machine()})"
    if not found:
        raise Rejected(what, code="unknown-target", hint=hint)
    return found


def _no_unit(directory: Path) -> Rejected:
    if not directory.is_dir():
        known = [str(path) for path in directory.parent.glob("*/") if (path / MANIFEST).is_file()]
        hint = did_you_mean(str(directory), known)
        return Rejected(f"{directory}: no such directory", code="no-unit", hint=hint)
    below = sorted(str(path.parent.parent) for path in directory.glob(f"*/{MANIFEST}"))
    below += sorted(str(path.parent.parent) for path in directory.glob(f"*/*/{MANIFEST}"))
    hint = f"Units below it: {', '.join(below[:5])}" if below else f"A unit has a {MANIFEST}."
    return Rejected(f"{directory}: is no unit", code="no-unit", hint=hint)
