"""Collects the outputs of a Debian build from its overlay: the .changes, the .dsc, and the files that they list.

A build can write anything there. Names are therefore checked before they become paths, links are not followed, and only
regular files directly in the build directory count.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from cloud_builder.errors import Permanent
from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.ids import Digest
from cloud_builder.ports.recipe import Output, PackageSource

from . import binary_package, source_package
from .build_commands import BUILD
from .source_form import without_epoch
from .stanzas import read_stanzas, without_signature

_KINDS = {".deb": ArtifactKind.DEB, ".udeb": ArtifactKind.UDEB, ".buildinfo": ArtifactKind.BUILDINFO}
_BINARIES = (ArtifactKind.DEB, ArtifactKind.UDEB)
_CHANGES_LIMIT = 4 * 1024 * 1024


def collect(source: PackageSource, root: Path) -> tuple[Output, ...]:
    """See ports.recipe.Recipe.collect."""
    directory = root / BUILD.relative_to("/")
    changes = [name for name in _names(directory) if name.endswith(".changes")]
    if len(changes) != 1:
        raise _wrong(f"{source.name}: the build left {len(changes)} .changes files instead of one")
    listed = [Output(_plain(directory, changes[0]), ArtifactKind.CHANGES)]
    listed += [_output(directory, *entry) for entry in _files_of(directory / changes[0])]
    if not any(output.kind in _BINARIES for output in listed):
        raise _wrong(f"{source.name}: the build made no .deb and no .udeb")
    return (*listed, *_source_package(source, directory))


def _source_package(source: PackageSource, directory: Path) -> Iterator[Output]:
    """Yields the source package. Files that the unit has come from there; the others were made before the build."""

    def output(name: str, kind: ArtifactKind) -> Output:
        return Output(_of_unit(source, name) if name in source.files else _plain(directory, name), kind)

    made = f"{source.name}_{without_epoch(source.built_version)}.dsc"
    of_unit = (name for name in source.files if name.endswith(".dsc") and source.built_version == source.version)
    dsc = output(next(of_unit, made), ArtifactKind.DSC)
    yield dsc
    for name, sha256 in source_package.listed_files(source_package.read(dsc.path)):
        file = output(name, ArtifactKind.SOURCE)
        if name not in source.files and _sha256(file.path) != sha256:
            raise _wrong(f"{name} does not match its checksum in {dsc.path.name}")
        yield file


def _of_unit(source: PackageSource, name: str) -> Path:
    path = source.directory / name
    if not path.resolve().is_relative_to(source.directory.resolve()):
        raise _wrong(f"{name} is a link out of the unit")
    return path


def _names(directory: Path) -> list[str]:
    if directory.is_symlink() or not directory.is_dir():
        raise _wrong("the build removed its own directory")
    return sorted(entry.name for entry in os.scandir(directory))


def _files_of(changes: Path) -> list[tuple[str, str]]:
    """Returns the names and sha256 sums of the listed files."""
    with changes.open("rb") as file:
        text = file.read(_CHANGES_LIMIT).decode(errors="replace")
    try:
        listed = [stanza.lines("Checksums-Sha256") for stanza in read_stanzas(without_signature(text))]
        return [(name, sha256) for sha256, _size, name in (line.split() for line in (listed or [[]])[0])]
    except ValueError as cause:
        raise _wrong(f"{changes.name} cannot be read: {cause}") from cause


def _output(directory: Path, name: str, sha256: str) -> Output:
    path = _plain(directory, name)
    if _sha256(path) != sha256:
        raise _wrong(f"{name} does not match its checksum in the .changes")
    kind = _KINDS.get(path.suffix, ArtifactKind.OTHER)
    package = binary_package.binary_package(binary_package.read(path)) if kind is ArtifactKind.DEB else None
    return Output(path, kind, package)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except PermissionError as cause:
        raise _wrong(f"{path.name} cannot be read") from cause


def _plain(directory: Path, name: str) -> Path:
    """Returns the path of a regular file whose name an artifact may have."""
    try:
        Artifact(name=name, sha256=Digest("0" * 64), size=0)
    except ValueError as cause:
        raise _wrong(f"{name!r} is not a valid name for an artifact") from cause
    path = directory / name
    mode = path.lstat().st_mode if os.path.lexists(path) else 0
    if not stat.S_ISREG(mode):
        raise _wrong(f"{name} is not a regular file in the build directory")
    return path


def _wrong(message: str) -> Permanent:
    hint = "debian/rules must leave the packages beside the source tree, as dh_builddeb does."
    return Permanent(message, code="outputs", hint=hint)
