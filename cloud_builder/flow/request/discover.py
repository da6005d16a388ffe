"""Discovers the units of a tree.

Input: a tree (of a commit or of a directory) and the readers of packaging metadata. Of each unit four things are read:
its manifest, the names in its directory, the metadata of its packaging, and its build root description.
Output: the units; the problems of the directories that are no unit. `broken.py` completes the units that are broken.
Must not: let a problem of one unit hide another unit.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path, PurePosixPath

from cloud_builder.errors import CloudBuilderError, Rejected
from cloud_builder.model.build_profiles import unknown_profiles
from cloud_builder.model.capacity import NOTHING, Capacity
from cloud_builder.model.ids import Digest, UnitPath
from cloud_builder.model.manifest import MANIFEST, Manifest, Manifest10, ManifestError, directory_of, parse, unit_path
from cloud_builder.model.manifest_schema import Build
from cloud_builder.model.manifest_yaml import read as read_yaml
from cloud_builder.model.nearest import did_you_mean
from cloud_builder.model.outcome import Kind
from cloud_builder.model.settings import RequestSettings
from cloud_builder.model.unit import BUILD_ROOT_DESCRIPTION, UNKNOWN_TARGET, Problem, Target, Unit
from cloud_builder.planning.architectures import debian_architecture, matches
from cloud_builder.ports.metadata import BrokenMetadata, Metadata, MetadataReader, Read, RepositoryStates

from .broken import BrokenUnit, complete
from .tree import DirectoryTree, Tree, join

_MAX_RELATIONS_LENGTH = 100_000
"""Characters of the dependencies of a unit and of its packages; a unit with more has a problem."""
_MAX_PACKAGING_BYTES = 16 * 1024 * 1024
"""Bytes of a file with packaging metadata: the changelog of a kernel has two million."""


@dataclass(frozen=True)
class DiscoveredUnits:
    """The units of a tree, sorted by path, the broken ones among them; the problems of directories that are no unit."""

    units: tuple[Unit, ...]
    problems: tuple[Problem, ...]

    @property
    def readable(self) -> tuple[Unit, ...]:
        """The units that are not broken."""
        return tuple(unit for unit in self.units if not unit.problems)

    @property
    def all_problems(self) -> tuple[Problem, ...]:
        """The problems of broken units, then those of directories that are no unit."""
        return (*(problem for unit in self.units for problem in unit.problems), *self.problems)

    def digest(self) -> Digest:
        """Returns a digest that changes when anything changes that is announced of the units."""
        body = [entry.model_dump(mode="json") for entry in (*self.units, *self.problems)]
        return Digest(sha256(json.dumps(body, sort_keys=True).encode()).hexdigest())


def check_tree(
    root: Path, readers: Sequence[MetadataReader], repositories: RepositoryStates | None = None
) -> tuple[tuple[Unit, ...], tuple[Problem, ...]]:
    """Returns the units at and below a directory, and the problems; paths are relative to it. For `cb-ctl check`."""
    discovered = discover_tree(root, readers, repositories)
    return discovered.readable, discovered.all_problems


def discover_tree(
    root: Path, readers: Sequence[MetadataReader], repositories: RepositoryStates | None = None
) -> DiscoveredUnits:
    """Returns the units at and below a directory, with the broken ones; paths are relative to it."""
    discovery = UnitDiscovery(readers, repositories, RequestSettings().manifest_max_bytes)
    return discovery.discover(DirectoryTree(root))


@dataclass(frozen=True)
class _BuildRoot:
    """The digest of a build root's description, the state of its package repositories, and those without signatures."""

    description: Digest | None = None
    repositories: Digest | None = None
    unverified: tuple[str, ...] = ()


@dataclass(frozen=True)
class UnitDiscovery:
    """Discovers units.

    readers        of packaging metadata; the first that applies to a directory reads it
    repositories   None (no network): units carry no repository state
    most_bytes     the largest manifest or build root description that is read
    """

    readers: Sequence[MetadataReader]
    repositories: RepositoryStates | None
    most_bytes: int

    def discover(self, tree: Tree) -> DiscoveredUnits:
        """Returns the units of the tree. Raises only what the tree raises when it cannot be read (Retryable)."""
        found: dict[UnitPath, Unit] = {}
        unread: dict[UnitPath, Unit] = {}
        problems: list[Problem] = []
        files = tree.manifests()
        paths = {unit_path(directory_of(file)) for file in files}
        for file in files:
            directory = directory_of(file)
            path = unit_path(directory)
            if (problem := _no_unit(path, file, found.get(path))) is not None:
                problems.append(problem)
                continue
            try:
                found[path] = _with_refusal(self.read_unit(tree, directory, paths), tree)
            except BrokenUnit as broken:
                found[path] = unread[path] = self._broken_unit(tree, directory, broken.problems)
        completed = complete(list(unread.values()), tree, self._without_network.read_unit)
        found |= {unit.path: unit for unit in completed}
        return DiscoveredUnits(tuple(found[path] for path in sorted(found)), tuple(problems))

    def read_unit(self, tree: Tree, directory: str, paths: Collection[UnitPath] | None = None) -> Unit:
        """Returns the unit in a directory. `paths`: of all units of the tree; None: `depends` is not checked.

        Raises BrokenUnit when it cannot be read."""
        path, file = unit_path(directory), join(directory, MANIFEST)
        manifest, text = self._manifest(tree, file, directory)
        if paths is not None:
            _check_depends(manifest, text, path, file, paths)
        metadata, build_root = Metadata((), ""), _BuildRoot()
        if manifest.kind is Kind.PACKAGE:
            metadata = self._metadata(tree, directory, path)
            _check_profiles(manifest, text, path, file, metadata.build_depends)
            build_root = self._build_root(tree, manifest, directory, path)
            _check_architectures(manifest, metadata, path, file)
        build = (manifest.build if isinstance(manifest, Manifest10) else None) or Build()
        return Unit(
            path=path,
            directory=directory,
            name=manifest.name,
            kind=manifest.kind,
            tree=tree.tree_id(directory),
            targets=manifest.targets,
            version=metadata.version,
            provides=metadata.provides,
            virtual=dict(metadata.virtual),
            runtime_depends=dict(metadata.runtime_depends),
            build_depends=metadata.build_depends,
            depends=tuple(UnitPath(depended) for depended in getattr(manifest, "depends", ())),
            profiles=tuple(sorted(set(build.profiles))),
            build_options=tuple(sorted(set(build.options))),
            constraints=_constraints(manifest),
            buildroot=build_root.description,
            repositories=build_root.repositories,
            unverified=build_root.unverified,
        )

    def units_in(self, tree: Tree) -> set[str]:
        """Returns the directories of a tree that are units, broken or not."""
        directories = map(directory_of, tree.manifests())
        return {found for found in directories if _no_unit(unit_path(found), join(found, MANIFEST), None) is None}

    def provided(self, tree: Tree, directory: str) -> tuple[str, ...]:
        """Returns the names that the packages of a unit have and provide; none if it cannot be read."""
        with suppress(BrokenUnit, Rejected):
            return self._without_network.read_unit(tree, directory).provides
        return ()

    def _broken_unit(self, tree: Tree, directory: str, problems: tuple[Problem, ...]) -> Unit:
        """Returns a broken unit as far as its files can be read.

        Its name is taken for the name of a package, too: no unit that names it may be built with a package of the
        distribution."""
        kind: Kind = Kind.PACKAGE
        targets: tuple[Target, ...] = (UNKNOWN_TARGET,)
        with suppress(BrokenUnit):
            manifest, _ = self._manifest(tree, join(directory, MANIFEST), directory)
            kind, targets = manifest.kind, manifest.targets
        path = unit_path(directory)
        name = PurePosixPath(directory).name or tree.top_name or path
        files = tree.names(directory)
        packages = (reader.package_names(files, self._reads(tree, directory)) for reader in self.readers)
        return Unit(
            path=path,
            directory=directory,
            name=name,
            kind=kind,
            tree=tree.tree_id(directory),
            targets=targets,
            problems=problems,
            provides=tuple(dict.fromkeys((name, *(package for each in packages for package in each)))),
        )

    def _reads(self, tree: Tree, directory: str) -> Read:
        return lambda name: tree.read(join(directory, name), _MAX_PACKAGING_BYTES)

    @property
    def _without_network(self) -> UnitDiscovery:
        return replace(self, repositories=None)

    def _manifest(self, tree: Tree, file: str, directory: str) -> tuple[Manifest, bytes]:
        try:
            text = tree.read(file, self.most_bytes)
            return parse(text, file, name=PurePosixPath(directory).name or tree.top_name), text
        except ManifestError as error:
            raise BrokenUnit(*error.problems) from error
        except Rejected as error:
            raise BrokenUnit(_problem(unit_path(directory), file, error)) from error

    def _metadata(self, tree: Tree, directory: str, path: UnitPath) -> Metadata:
        names = tree.names(directory)
        reader = next((reader for reader in self.readers if reader.applies(names)), None)
        if reader is None:
            expected = " or ".join(reader.expects for reader in self.readers)
            message = "nothing here says how the package is built"
            raise BrokenUnit(Problem(path=path, file=directory, message=message, hint=f"Add {expected}."))
        try:
            metadata = reader.read(names, self._reads(tree, directory))
        except BrokenMetadata as error:
            problem = Problem(
                path=path, file=join(directory, error.file), line=error.line, message=error.message, hint=error.hint
            )
            raise BrokenUnit(problem) from error
        if sum(map(len, (metadata.build_depends, *metadata.runtime_depends.values()))) > _MAX_RELATIONS_LENGTH:
            message = f"dependencies of more than {_MAX_RELATIONS_LENGTH} characters"
            raise BrokenUnit(Problem(path=path, file=directory, message=message))
        return metadata

    def _build_root(self, tree: Tree, manifest: Manifest, directory: str, path: UnitPath) -> _BuildRoot:
        file = join(directory, BUILD_ROOT_DESCRIPTION)
        try:
            content = tree.read(file, self.most_bytes)
        except Rejected as error:
            if error.code != "unknown-path":
                raise BrokenUnit(_problem(path, file, error)) from error
            hint = "A package says how its build root is made, by a KIWI description."
            raise BrokenUnit(Problem(path=path, file=file, message="the file is missing", hint=hint)) from error
        digest = Digest(sha256(content).hexdigest())
        if self.repositories is None:
            return _BuildRoot(digest)
        profiles = [target.name for target in manifest.targets]
        try:
            unverified = self.repositories.unverified(content, profiles)
            return _BuildRoot(digest, self.repositories.state(content, profiles), unverified)
        except CloudBuilderError as error:
            raise BrokenUnit(_problem(path, file, error)) from error


def _no_unit(path: UnitPath, file: str, earlier: Unit | None) -> Problem | None:
    """Returns the problem of a directory that cannot be a unit. `earlier`: the unit with the same path, if any."""
    if not path.isprintable() or " " in path or {".", "..", ".git"} & set(directory_of(file).split("/")):
        shown = path.encode("ascii", "backslashreplace").decode()
        message = "the path has parts or characters that a unit's path must not have"
        hint = "Use letters, digits and . _ + - in the names of directories."
        return Problem(path=shown, message=message, hint=hint)
    if earlier is not None:
        hint = f"{earlier.directory} has it already; move or rename one of them."
        return Problem(path=path, file=file, message="the unit path is taken", hint=hint)
    return None


def _with_refusal(unit: Unit, tree: Tree) -> Unit:
    """Returns the unit, broken if its files cannot be taken from git: then each of its builds would fail."""
    try:
        tree.check(unit.directory)
    except Rejected as error:
        return unit.model_copy(update={"problems": (_problem(unit.path, unit.directory, error),)})
    return unit


def _check_architectures(manifest: Manifest, metadata: Metadata, path: UnitPath, file: str) -> None:
    """Ends the reading of a unit of which no package is made for one of its targets."""
    named = {word for words in metadata.architectures.values() for word in words}
    for target in manifest.targets:
        architecture = debian_architecture(target.arch)
        if named and not any(word == "all" or matches(architecture, word) for word in named):
            message = f"makes no package for {architecture}: its packages are for {', '.join(sorted(named))}"
            hint = f"Take {target.name} out of the manifest, or correct Architecture in the packaging."
            raise BrokenUnit(Problem(path=path, file=file, message=message, hint=hint))


def _constraints(manifest: Manifest) -> Capacity:
    constraints = manifest.constraints if isinstance(manifest, Manifest10) else None
    return constraints.capacity() if constraints is not None else NOTHING


def _check_depends(manifest: Manifest, text: bytes, path: UnitPath, file: str, paths: Collection[UnitPath]) -> None:
    if isinstance(manifest, Manifest10):
        problems = tuple(_unknown_depends(manifest, text, path, file, paths))
        if problems:
            raise BrokenUnit(*problems)


def _unknown_depends(
    manifest: Manifest10, text: bytes, path: UnitPath, file: str, paths: Collection[UnitPath]
) -> Iterator[Problem]:
    for number, depended in enumerate(manifest.depends):
        if depended == path or depended not in paths:
            line = read_yaml(text).line(("depends", number))
            message = "depends on itself" if depended == path else f'depends on "{depended}", which is no unit here'
            yield Problem(
                path=path, file=file, line=line, message=message, hint=did_you_mean(depended, {*paths} - {path})
            )


def _check_profiles(manifest: Manifest, text: bytes, path: UnitPath, file: str, relations: str) -> None:
    build = manifest.build if isinstance(manifest, Manifest10) else None
    profiles = build.profiles if build is not None else ()
    problems = []
    for profile, hint in unknown_profiles(profiles, relations):
        line = read_yaml(text).line(("build", "profiles", profiles.index(profile)))
        message = f'unknown build profile "{profile}"'
        problems.append(Problem(path=path, file=file, line=line, message=message, hint=hint))
    if problems:
        raise BrokenUnit(*problems)


def _problem(path: UnitPath, file: str, error: CloudBuilderError) -> Problem:
    return Problem(path=path, file=file, message=error.message, hint=error.hint)
