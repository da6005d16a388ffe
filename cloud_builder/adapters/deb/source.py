"""Reads the Debian source package of a directory (`ports.recipe.PackageSource`).

Three forms: `dsc` (a *.dsc beside the files it lists), `tree` (a source tree with debian/), and `orig` (debian/ beside
the pristine upstream tarball). Files are read as text, and links out of the directory are not followed. Steps that run
a program (unpacking, debian/rules) happen in the sandbox.
"""

from __future__ import annotations

import hashlib
import re
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_builder.errors import Permanent
from cloud_builder.model import lfs
from cloud_builder.ports.recipe import PackageSource

if TYPE_CHECKING:
    from debian.deb822 import Deb822

DSC, TREE, ORIG = "dsc", "tree", "orig"
RELATIONS = (
    "Build-Depends",
    "Build-Depends-Arch",
    "Build-Depends-Indep",
    "Build-Conflicts",
    "Build-Conflicts-Arch",
    "Build-Conflicts-Indep",
)
TEXT_LIMIT = 16 * 1024 * 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_VERSION = re.compile(r"[A-Za-z0-9.+:~-]+")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_%-]*")
_NUMBER = re.compile(r"[0-9]{1,18}")
_BESIDE = re.compile(r"\..*|README.*|.*\.asc")
"""Files that may be beside debian/ and a pristine tarball without being part of the source."""


def read_source(directory: Path) -> PackageSource:
    """See ports.recipe.Recipe.read."""
    descriptions = sorted(directory.glob("*.dsc"))
    if len(descriptions) > 1:
        names = ", ".join(path.name for path in descriptions)
        raise _broken(
            directory, f"the unit has several .dsc files: {names}", "Keep one .dsc with its tarballs in a unit."
        )
    if descriptions:
        return _read_dsc(descriptions[0])
    if (directory / "debian").is_symlink() or not (directory / "debian").is_dir():
        hint = "The directory of a package has debian/, or a *.dsc beside its tarballs."
        raise _broken(directory, "the unit has neither debian/ nor a *.dsc", hint)
    return _read_debian(directory)


def without_epoch(version: str) -> str:
    """Returns the version as file names contain it."""
    return version.partition(":")[2] or version


def _read_debian(directory: Path) -> PackageSource:
    control = _paragraph(directory, "debian/control")
    name, version, epoch = _last_change(directory)
    if control.get("Source", name) != name:
        message = f"debian/control says Source: {control['Source']}, debian/changelog says {name}"
        raise _broken(directory, message, "Make both the same.")
    tarballs = _tarballs(directory, name, version)
    return PackageSource(
        name=name,
        version=version,
        directory=directory,
        form=ORIG if tarballs else TREE,
        files=tarballs,
        build_depends=_relations(control),
        epoch=epoch,
    )


def _tarballs(directory: Path, name: str, version: str) -> tuple[str, ...]:
    """Returns the pristine tarballs of this version: the main one first, then those of components."""
    found = sorted(
        path.name for path in directory.iterdir() if re.fullmatch(r".+\.orig(-[\w-]+)?\.tar\.\w+", path.name)
    )
    if not found:
        return ()
    stem = f"{name}_{without_epoch(version).rpartition('-')[0] or without_epoch(version)}.orig"
    ours = [file for file in found if file.startswith((stem + ".", stem + "-"))]
    if not any(file.startswith(stem + ".") for file in ours):
        hint = f"Put {stem}.tar.xz (or .gz, .bz2) here, or correct the version in debian/changelog."
        raise _broken(directory, f"{version} needs {stem}.tar.*, but the unit has {', '.join(found)}", hint)
    for file in ours:
        if not (directory / file).is_symlink():
            _refuse_pointer(directory, directory / file)
    others = [p.name for p in directory.iterdir() if p.name not in ("debian", *found) and not _BESIDE.fullmatch(p.name)]
    if others:
        message = f"beside {ours[0]} are files that would be left out: {', '.join(sorted(others)[:5])}"
        hint = "Remove the tarball to build the tree as it is, or the other files to build the tarball."
        raise _broken(directory, message, hint)
    return tuple(sorted(ours, key=lambda file: (not file.startswith(stem + "."), file)))


def _read_dsc(path: Path) -> PackageSource:
    from debian.deb822 import Dsc

    dsc = Dsc(_text(path.parent, path.name))
    name, version = dsc.get("Source", ""), dsc.get("Version", "")
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
        raise _broken(path, "no valid Source and Version", "Make it again with `dpkg-source -b`.")
    sums = dsc.get("Checksums-Sha256", ())
    if not sums or not isinstance(sums, list):
        raise _broken(path, "no Checksums-Sha256", "Make it again with a current dpkg: `dpkg-source -b`.")
    for entry in sums:
        if not {"name", "size", "sha256"} <= entry.keys() or not _NUMBER.fullmatch(entry["size"]):
            raise _broken(path, "Checksums-Sha256 is malformed", "Make it again with `dpkg-source -b`.")
        _verify(path, entry["name"], int(entry["size"]), entry["sha256"])
    files = (path.name, *(entry["name"] for entry in sums))
    return PackageSource(name, version, path.parent, DSC, files, _relations(dsc))


def _refuse_pointer(where: Path, file: Path) -> None:
    """Raises Permanent for a Git LFS pointer: a few lines of text in place of the file."""
    with file.open("rb") as content:
        if lfs.is_pointer(content.read(lfs.MAX_POINTER_BYTES)):
            raise _broken(where, lfs.message(file.name), lfs.HINT)


def _verify(dsc: Path, name: str, size: int, sha256: str) -> None:
    file = dsc.parent / name
    if not _FILE.fullmatch(name) or file.is_symlink() or not file.is_file():
        raise _broken(
            dsc, f"it lists {name}, which is not in the unit", "Put all files of the .dsc into the directory."
        )
    _refuse_pointer(dsc, file)
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != sha256 or file.stat().st_size != size:
        hint = "Fetch both again from the same server, and let git store them unchanged (no line-end conversion)."
        raise _broken(dsc, f"{name} does not match its checksum (sha256 {found}, listed {sha256})", hint)


def _last_change(directory: Path) -> tuple[str, str, int]:
    """Returns source, version and time of the newest entry of debian/changelog."""
    from debian.changelog import Changelog, ChangelogParseError

    try:
        changelog = Changelog(_text(directory, "debian/changelog"), max_blocks=1, strict=True)
        name, version, date = str(changelog.package or ""), str(changelog.full_version or ""), changelog.date
    except (ChangelogParseError, ValueError) as cause:
        raise _broken(directory, f"debian/changelog: {cause}", "`dch` writes valid entries.") from cause
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
        raise _broken(directory, f"debian/changelog: {name!r} ({version!r}) is not a source and version", "")
    return name, version, _seconds(directory, str(date or ""))


def _seconds(directory: Path, date: str) -> int:
    try:
        return int(parsedate_to_datetime(date).timestamp())
    except ValueError as cause:
        raise _broken(
            directory, f"debian/changelog: {date!r} is not a date", "`date -R` prints a valid one."
        ) from cause


def _relations(paragraph: Deb822) -> tuple[tuple[str, str], ...]:
    found = ((field, " ".join(str(paragraph.get(field, "")).split()).strip(", ")) for field in RELATIONS)
    return tuple((field, value) for field, value in found if value)


def _paragraph(directory: Path, name: str) -> Deb822:
    from debian.deb822 import Deb822

    paragraph = next(iter(Deb822.iter_paragraphs(_text(directory, name), use_apt_pkg=False)), None)
    if paragraph is None or "Source" not in paragraph:
        raise _broken(directory, f"{name} does not begin with a Source paragraph", "See Debian policy, chapter 5.2.")
    return paragraph


def _text(directory: Path, name: str) -> str:
    file = directory / name
    if file.is_symlink() and not file.resolve().is_relative_to(directory.resolve()):
        raise _broken(directory, f"{name} is a link out of the unit", "Put the file itself there.")
    if not file.is_file():
        raise _broken(directory, f"{name} is missing", "A source package needs it.")
    if file.stat().st_size > TEXT_LIMIT:
        raise _broken(directory, f"{name} is larger than {TEXT_LIMIT} bytes", "")
    _refuse_pointer(directory, file)
    return file.read_text(encoding="utf-8", errors="replace")


def _broken(where: Path, message: str, hint: str) -> Permanent:
    """Returns the error. `where`: a .dsc, which the message names, or the directory of the unit."""
    text = f"{where.name}: {message}" if where.suffix == ".dsc" else message
    return Permanent(text, code="source", hint=hint)
