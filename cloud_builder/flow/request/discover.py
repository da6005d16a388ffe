"""A tree in, its units and problems out. A unit with a problem is left out; the healthy ones beside it never are.

Reads four things of a unit: its manifest, the names in its directory, its packaging's metadata, its build root.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath

from cloud_builder.errors import CloudBuilderError, Rejected
from cloud_builder.model.capacity import NOTHING, Capacity
from cloud_builder.model.ids import Digest, UnitPath
from cloud_builder.model.manifest import Manifest, Manifest10, ManifestError, directory_of, parse, unit_path
from cloud_builder.model.manifest_yaml import read as read_yaml
from cloud_builder.model.nearest import did_you_mean
from cloud_builder.model.outcome import Kind
from cloud_builder.model.unit import Problem, Unit
from cloud_builder.ports.metadata import BrokenMetadata, Metadata, MetadataReader, RepositoryStates

from .tree import Tree

BUILD_ROOT = ".cb/build_root.kiwi"
_MOST_RELATIONS = 100_000


@dataclass(frozen=True)
class DiscoveredUnits:
    """All units of a tree, sorted by path, and what is wrong with the others."""

    units: tuple[Unit, ...]
    problems: tuple[Problem, ...]

    def digest(self) -> Digest:
        """Changes when anything that is announced changes."""
        body = [one.model_dump(mode="json") for one in (*self.units, *self.problems)]
        return Digest(sha256(json.dumps(body, sort_keys=True).encode()).hexdigest())


class _Broken(Exception):
    """Ends the reading of one unit."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__()
        self.problems = problems


@dataclass(frozen=True)
class UnitDiscovery:
    """`most_bytes`: of one file. Without `repositories` (no network) units carry no repository state."""

    readers: Sequence[MetadataReader]
    repositories: RepositoryStates | None
    most_bytes: int

    def snapshot(self, tree: Tree) -> DiscoveredUnits:
        """Raises only what the tree raises when it cannot be read at all (Retryable)."""
        found: dict[UnitPath, Unit] = {}
        problems: list[Problem] = []
        files = tree.manifests()
        paths = {unit_path(directory_of(file)) for file in files}
        for file in files:
            try:
                unit = self._unit(tree, file, paths)
                if (other := found.get(unit.path)) is not None:
                    hint = f"{other.directory} has it already; move or rename one of them."
                    raise _Broken(Problem(path=unit.path, file=file, message="the unit path is taken", hint=hint))
                found[unit.path] = unit
            except _Broken as broken:
                problems += broken.problems
        return DiscoveredUnits(tuple(found[path] for path in sorted(found)), tuple(problems))

    def _unit(self, tree: Tree, file: str, paths: set[UnitPath]) -> Unit:
        directory = directory_of(file)
        path = unit_path(directory)
        if not path.isprintable() or " " in path or {".", "..", ".git"} & set(directory.split("/")):
            shown = path.encode("ascii", "backslashreplace").decode()
            hint = "Use letters, digits and . _ + - in the names of directories."
            raise _Broken(
                Problem(path=shown, message="the path has parts or characters that a unit's path must not", hint=hint)
            )
        manifest, text = self._manifest(tree, file, directory)
        _check_depends(manifest, text, path, file, paths)
        metadata, build_root, repositories = Metadata((), ""), None, None
        if manifest.kind is Kind.PACKAGE:
            metadata = self._metadata(tree, directory, path)
            build_root, repositories = self._build_root(tree, manifest, directory, path)
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
            depends=tuple(UnitPath(one) for one in getattr(manifest, "depends", ())),
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
            wanted = " or ".join(reader.expects for reader in self.readers)
            message = "nothing here says how the package is built"
            raise _Broken(Problem(path=path, file=directory, message=message, hint=f"Add {wanted}."))
        try:
            metadata = reader.read(names, lambda name: tree.read(_join(directory, name), self.most_bytes))
        except BrokenMetadata as error:
            problem = Problem(
                path=path, file=_join(directory, error.file), line=error.line, message=error.message, hint=error.hint
            )
            raise _Broken(problem) from error
        if len(metadata.build_depends) > _MOST_RELATIONS:
            message = f"build dependencies of more than {_MOST_RELATIONS} characters"
            raise _Broken(Problem(path=path, file=directory, message=message))
        return metadata

    def _build_root(
        self, tree: Tree, manifest: Manifest, directory: str, path: UnitPath
    ) -> tuple[Digest, Digest | None]:
        file = _join(directory, BUILD_ROOT)
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


def _constraints(manifest: Manifest) -> Capacity:
    asked = manifest.constraints if isinstance(manifest, Manifest10) else None
    return asked.capacity() if asked is not None else NOTHING


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


def _problem(path: UnitPath, file: str, error: CloudBuilderError) -> Problem:
    return Problem(path=path, file=file, message=error.message, hint=error.hint)


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name
