"""Decides how a source with debian/ is packed: as a tree, or with pristine upstream tarballs.

The rules are dpkg-source's: debian/source/format decides whether upstream tarballs count, and their names follow from
debian/changelog. Input: names and small texts of the directory. A tarball that is missing is an error.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum

from cloud_builder.errors import Rejected
from cloud_builder.ports.metadata import BrokenMetadata, Read

from .changelog import CHANGELOG, ChangelogEntry

FORMAT, OPTIONS = "debian/source/format", "debian/source/options"
_FORMAT = re.compile(r"(\d+)(?:\.(\d+))?(?:\s+\(([a-z0-9]+)\))?", re.ASCII)
_OLD, _WITH_TARBALL = "1.0", ("2.0", "3.0 (quilt)")
_ANY_TARBALL = re.compile(r".+\.orig(-[\w-]+)?\.tar\.\w+")
_BESIDE = re.compile(r"\..*|README.*|.*\.asc")
"""Files that may be beside debian/ and a pristine tarball without being part of the source."""


class Form(StrEnum):
    """The ways in which a source is packed."""

    DSC = "dsc"
    """A *.dsc beside the files that it lists."""
    TREE = "tree"
    """A source tree with debian/."""
    ORIG = "orig"
    """debian/ alone beside the pristine tarballs."""
    TREE_WITH_ORIG = "tree-with-orig"
    """A source tree with debian/, and the pristine tarballs in it."""


def without_epoch(version: str) -> str:
    """Returns the version as file names contain it."""
    return version.partition(":")[2] or version


def form_of(names: Collection[str], read: Read, entry: ChangelogEntry) -> tuple[Form, tuple[str, ...]]:
    """Returns the form of a directory with debian/, and its pristine tarballs: the main one first."""
    style = _source_format(read)
    if style != _OLD and style not in _WITH_TARBALL:
        return Form.TREE, ()
    upstream, dash, _ = without_epoch(entry.version).rpartition("-")
    stem = f"{entry.source}_{upstream if dash else without_epoch(entry.version)}.orig"
    endings = r"\.tar\.gz" if style == _OLD else r"(-[A-Za-z0-9-]+)?\.tar\.(gz|bz2|lzma|xz)"
    tarballs = sorted(name for name in names if re.fullmatch(re.escape(stem) + endings, name))
    tarballs.sort(key=lambda name: not name.startswith(f"{stem}."))
    is_alone = all(name == "debian" or name in tarballs or _BESIDE.fullmatch(name) for name in names)
    if not any(name.startswith(f"{stem}.") for name in tarballs):
        _check_missing(names, read, entry, style, stem, is_alone=is_alone)
        return Form.TREE, ()
    if not dash:
        message = f"{entry.version} has no Debian revision, which a source with an upstream tarball needs"
        hint = f"Call it {entry.version}-1, or remove {tarballs[0]} and write `3.0 (native)` into {FORMAT}."
        raise BrokenMetadata(message, file=CHANGELOG, line=entry.line, hint=hint)
    return (Form.ORIG if is_alone else Form.TREE_WITH_ORIG), tuple(tarballs)


def _source_format(read: Read) -> str:
    try:
        line = read(FORMAT).decode(errors="replace").partition("\n")[0]
    except Rejected as error:
        if error.code != "unknown-path":
            raise BrokenMetadata(error.message, file=FORMAT, hint=error.hint) from error
        return _OLD
    found = _FORMAT.fullmatch(line)
    if found is None:
        hint = "It has one line: 3.0 (quilt), 3.0 (native) or 1.0."
        raise BrokenMetadata(f"not a source format: {line[:60]!r}", file=FORMAT, line=1, hint=hint)
    major, minor, variant = found.groups()
    return f"{major}.{minor or 0}" + (f" ({variant})" if variant else "")


def _check_missing(
    names: Collection[str], read: Read, entry: ChangelogEntry, style: str, stem: str, *, is_alone: bool
) -> None:
    """Raises BrokenMetadata for a tarball that dpkg-source needs and that is not there.

    A tree without any tarball can be built, but debian/ alone would become a package with nothing of upstream in it."""
    others = sorted(name for name in names if _ANY_TARBALL.fullmatch(name))
    ending = "gz" if style == _OLD else "xz (or .gz, .bz2)"
    if others:
        hint = f"Put {stem}.tar.{ending} here, or correct the version in debian/changelog."
        if style == _OLD and any(name.startswith(f"{stem}.") for name in others):
            hint = f"Write `3.0 (quilt)` into {FORMAT}: format 1.0 takes .tar.gz alone."
        message = f"{entry.version} needs {stem}.tar.{'gz' if style == _OLD else '*'}, but the unit has"
        raise BrokenMetadata(f"{message} {', '.join(others[:5])}", file=CHANGELOG, line=entry.line, hint=hint)
    if is_alone and style in _WITH_TARBALL and not _may_be_empty(read):
        message = f"no upstream tarball: {entry.version} needs {stem}.tar.*, and the unit has debian/ alone"
        hint = f"Commit {stem}.tar.{ending} (is it in .gitignore?), or write `3.0 (native)` into {FORMAT}."
        raise BrokenMetadata(message, file=CHANGELOG, line=entry.line, hint=hint)


def _may_be_empty(read: Read) -> bool:
    """Returns whether dpkg-source has the option to make an empty tarball."""
    try:
        lines = read(OPTIONS).decode(errors="replace").split("\n")
    except Rejected:
        return False
    return any(line.strip().removeprefix("--") == "create-empty-orig" for line in lines)
