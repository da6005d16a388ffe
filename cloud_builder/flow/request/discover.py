"""Discovers the units of a tree.

Input: a tree (of a commit or of a directory) and the readers of packaging metadata. Of each unit four things are read:
its manifest, the names in its directory, the metadata of its packaging, and its build root description.
Output: the units, and the problems of the directories that are no unit because of them.
Must not: let a problem of one unit hide another unit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath

from cloud_builder.errors import CloudBuilderError, Rejected
from cloud_builder.model.build_profiles import unknown_profiles
from cloud_builder.model.capacity import NOTHING, Capacity
from cloud_builder.model.ids import Digest, UnitPath
from cloud_builder.model.manifest import Manifest, Manifest10, ManifestError, directory_of, parse, unit_path
from cloud_builder.model.manifest_schema import Build
from cloud_builder.model.manifest_yaml import read as read_yaml
from cloud_builder.model.nearest import did_you_mean
from cloud_builder.model.outcome import Kind
from cloud_builder.model.settings import RequestSettings
from cloud_builder.model.unit import BUILD_ROOT_DESCRIPTION, Problem, Unit
from cloud_builder.ports.metadata import BrokenMetadata, Metadata, MetadataReader, RepositoryStates

from .tree import DirectoryTree, Tree

_MAX_RELATIONS_LENGTH = 100_000
"""Characters of a unit's build dependencies; a unit with more has a problem."""


@dataclass(frozen=True)
class DiscoveredUnits:
    """The units of a tree, sorted by path, and the problems of those that cannot be read."""

    units: tuple[Unit, ...]
    problems: tuple[Problem, ...]

    def digest(self) -> Digest:
        """Returns a digest that changes when anything changes that is announced of the units."""
        body = [entry.model_dump(mode="json") for entry in (*self.units, *self.problems)]
        return Digest(sha256(json.dumps(body, sort_keys=True).encode()).hexdigest())


def check_tree(
    root: Path, readers: Sequence[MetadataReader], repositories: RepositoryStates | None = None
) -> tuple[tuple[Unit, ...], tuple[Problem, ...]]:
    """Returns the units at and below a directory, and the problems; paths are relative to it. For `cb-ctl check`."""
    discovery = UnitDiscovery(readers, repositories, RequestSettings().manifest_max_bytes)
    discovered = discovery.discover(DirectoryTree(root))
    return discovered.units, discovered.problems


class _Broken(Exception):
    """Ends the reading of one unit."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__()
        self.problems = problems


@dataclass(frozen=True)
class UnitDiscovery:
    """Discovers units.

    readers        of packaging metadata; the first that applies to a directory reads it
    repositories   None (no network): units carry no repository state
    most_bytes     the largest file that is read
    """

    readers: Sequence[MetadataReader]
    repositories: RepositoryStates | None
    most_bytes: int

    def discover(self, tree: Tree) -> DiscoveredUnits:
        """Returns the units of the tree. Raises only what the tree raises when it cannot be read (Retryable)."""
        found: dict[UnitPath, Unit] = {}
        problems: list[Problem] = []
        files = tree.manifests()
        paths = {unit_path(directory_of(file)) for file in files}
        for file in files:
            try:
                unit = self._unit(tree, file, paths)
                if (earlier := found.get(unit.path)) is not None:
                    hint = f"{earlier.directory} has it already; move or rename one of them."
                    raise _Broken(Problem(path=unit.path, file=file, message="the unit path is taken", hint=hint))
                found[unit.path] = unit
            except _Broken as broken:
                problems += broken.problems
        return DiscoveredUnits(tuple(found[path] for path in sorted(found)), tuple(problems))

    def _unit(self, tree: Tree, file: str, paths: set[UnitPath]) -> Unit:
        directory = directory_of(file)
        path = unit_path(directory)
        _check_path(path, directory)
        manifest, text = self._manifest(tree, file, directory)
        _check_depends(manifest, text, path, file, paths)
        metadata, build_root, repositories = Metadata((), ""), None, None
        if manifest.kind is Kind.PACKAGE:
            metadata = self._metadata(tree, directory, path)
            _check_profiles(manifest, text, path, file, metadata.build_depends)
            build_root, repositories = self._build_root(tree, manifest, directory, path)
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
            build_depends=metadata.build_depends,
            depends=tuple(UnitPath(depended) for depended in getattr(manifest, "depends", ())),
            profiles=tuple(sorted(set(build.profiles))),
            build_options=tuple(sorted(set(build.options))),
            constraints=_constraints(manifest),
            buildroot=build_root,
            repositories=repositories,
        )

    def _manifest(self, tree: Tree, file: str, directory: str) -> tuple[Manifest, bytes]:
        try:
            text = tree.read(file, self.most_bytes)
            return parse(text, file, name=PurePosixPath(directory).name or tree.top_name), text
        except ManifestError as error:
            raise _Broken(*error.problems) from error
        except Rejected as error:
            raise _Broken(_problem(unit_path(directory), file, error)) from error

    def _metadata(self, tree: Tree, directory: str, path: UnitPath) -> Metadata:
        names = tree.names(directory)
        reader = next((reader for reader in self.readers if reader.applies(names)), None)
        if reader is None:
            expected = " or ".join(reader.expects for reader in self.readers)
            message = "nothing here says how the package is built"
            raise _Broken(Problem(path=path, file=directory, message=message, hint=f"Add {expected}."))
        try:
            metadata = reader.read(names, lambda name: tree.read(_join(directory, name), self.most_bytes))
        except BrokenMetadata as error:
            problem = Problem(
                path=path, file=_join(directory, error.file), line=error.line, message=error.message, hint=error.hint
            )
            raise _Broken(problem) from error
        if len(metadata.build_depends) > _MAX_RELATIONS_LENGTH:
            message = f"build dependencies of more than {_MAX_RELATIONS_LENGTH} characters"
            raise _Broken(Problem(path=path, file=directory, message=message))
        return metadata

    def _build_root(
        self, tree: Tree, manifest: Manifest, directory: str, path: UnitPath
    ) -> tuple[Digest, Digest | None]:
        """Returns the digest of the build root description, and the state of the package repositories it names."""
        file = _join(directory, BUILD_ROOT_DESCRIPTION)
        try:
            content = tree.read(file, self.most_bytes)
        except Rejected as error:
            if error.code != "unknown-path":
                raise _Broken(_problem(path, file, error)) from error
            hint = "A package says how its build root is made, by a KIWI description."
            raise _Broken(Problem(path=path, file=file, message="the file is missing", hint=hint)) from error
        digest = Digest(sha256(content).hexdigest())
        if self.repositories is None:
            return digest, None
        try:
            return digest, self.repositories.state(content, [target.name for target in manifest.targets])
        except CloudBuilderError as error:
            raise _Broken(_problem(path, file, error)) from error


def _check_path(path: UnitPath, directory: str) -> None:
    if path.isprintable() and " " not in path and not {".", "..", ".git"} & set(directory.split("/")):
        return
    shown = path.encode("ascii", "backslashreplace").decode()
    message = "the path has parts or characters that a unit's path must not have"
    hint = "Use letters, digits and . _ + - in the names of directories."
    raise _Broken(Problem(path=shown, message=message, hint=hint))


def _constraints(manifest: Manifest) -> Capacity:
    constraints = manifest.constraints if isinstance(manifest, Manifest10) else None
    return constraints.capacity() if constraints is not None else NOTHING


def _check_depends(manifest: Manifest, text: bytes, path: UnitPath, file: str, paths: set[UnitPath]) -> None:
    if isinstance(manifest, Manifest10):
        problems = tuple(_unknown_depends(manifest, text, path, file, paths))
        if problems:
            raise _Broken(*problems)


def _unknown_depends(
    manifest: Manifest10, text: bytes, path: UnitPath, file: str, paths: set[UnitPath]
) -> Iterator[Problem]:
    for number, depended in enumerate(manifest.depends):
        if depended == path or depended not in paths:
            line = read_yaml(text).line(("depends", number))
            message = "depends on itself" if depended == path else f'depends on "{depended}", which is no unit here'
            yield Problem(path=path, file=file, line=line, message=message, hint=did_you_mean(depended, paths - {path}))


def _check_profiles(manifest: Manifest, text: bytes, path: UnitPath, file: str, relations: str) -> None:
    build = manifest.build if isinstance(manifest, Manifest10) else None
    profiles = build.profiles if build is not None else ()
    problems = []
    for profile, hint in unknown_profiles(profiles, relations):
        line = read_yaml(text).line(("build", "profiles", profiles.index(profile)))
        message = f'unknown build profile "{profile}"'
        problems.append(Problem(path=path, file=file, line=line, message=message, hint=hint))
    if problems:
        raise _Broken(*problems)


def _problem(path: UnitPath, file: str, error: CloudBuilderError) -> Problem:
    return Problem(path=path, file=file, message=error.message, hint=error.hint)


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name
