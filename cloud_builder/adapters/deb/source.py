"""Reads the Debian source package of a directory (`ports.recipe.PackageSource`).

Files are read as text, and links out of the directory are not followed. Steps that run a program (unpacking,
debian/rules) happen in the sandbox. What the texts say is read by `source_layout`, as in cb-request; in addition the
files of a *.dsc are compared with their checksums here.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from cloud_builder.errors import Permanent, Rejected
from cloud_builder.model import lfs
from cloud_builder.ports.metadata import BrokenMetadata
from cloud_builder.ports.recipe import PackageSource

from .source_form import Form
from .source_layout import ListedFile, SourceLayout, read_layout
from .stanzas import Stanza

RELATIONS = (
    "Build-Depends",
    "Build-Depends-Arch",
    "Build-Depends-Indep",
    "Build-Conflicts",
    "Build-Conflicts-Arch",
    "Build-Conflicts-Indep",
)
TEXT_LIMIT = 16 * 1024 * 1024


def read_source(directory: Path) -> PackageSource:
    """See ports.recipe.Recipe.read."""
    try:
        return check_source(directory)
    except BrokenMetadata as error:
        where = f"{error.file}:{error.line}" if error.line else error.file
        message = f"{where}: {error.message}" if where else error.message
        raise Permanent(message, code="source", hint=error.hint) from error


def check_source(directory: Path, top: Path | None = None) -> PackageSource:
    """Returns the source package of a directory, with all its files checked. Raises BrokenMetadata.

    `top`: the working tree that links of the unit may lead to; None: links stay in the unit."""
    boundary = (top or directory).resolve()
    layout = read_layout([entry.name for entry in directory.iterdir()], lambda name: _read(directory, name, boundary))
    for file in layout.listed:
        _verify(directory, layout.file, file, boundary)
    for tarball in layout.tarballs:
        _check_tarball(directory, tarball, boundary)
    return PackageSource(
        name=layout.name,
        version=layout.version,
        directory=directory,
        form=layout.form,
        files=_files(layout),
        build_depends=_relations(layout.stanzas[0]),
        epoch=layout.epoch,
    )


def _files(layout: SourceLayout) -> tuple[str, ...]:
    if layout.form is Form.DSC:
        return (layout.file, *(file.name for file in layout.listed))
    return layout.tarballs


def _read(directory: Path, name: str, boundary: Path) -> bytes:
    file = directory / name
    if not file.resolve().is_relative_to(boundary):
        raise Rejected(f"{name} is a link out of the unit", code="broken-link", hint="Put the file itself there.")
    if not file.is_file():
        raise Rejected(f"no file {name}", code="unknown-path")
    if file.stat().st_size > TEXT_LIMIT:
        raise Rejected(f"{name} is larger than {TEXT_LIMIT} bytes", code="too-large")
    return file.read_bytes()


def _verify(directory: Path, dsc: str, listed: ListedFile, boundary: Path) -> None:
    file = directory / listed.name
    if not file.resolve().is_relative_to(boundary) or not file.is_file():
        hint = "Put all files of the .dsc into the directory."
        raise BrokenMetadata(f"it lists {listed.name}, which is not a file of the unit", file=dsc, hint=hint)
    _refuse_pointer(file)
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != listed.sha256 or file.stat().st_size != listed.size:
        message = f"{listed.name} does not match its checksum (sha256 {found}, listed {listed.sha256})"
        hint = "Fetch both again from the same server, and let git store them unchanged (no line-end conversion)."
        raise BrokenMetadata(message, file=dsc, hint=hint)


def _check_tarball(directory: Path, name: str, boundary: Path) -> None:
    file = directory / name
    if not file.resolve().is_relative_to(boundary) or not file.is_file():
        raise BrokenMetadata("it is not a file of the unit", file=name, hint="Put the file itself there.")
    _refuse_pointer(file)


def _refuse_pointer(file: Path) -> None:
    """Raises BrokenMetadata for a Git LFS pointer: a few lines of text in place of the file."""
    with file.open("rb") as content:
        if lfs.is_pointer(content.read(lfs.MAX_POINTER_BYTES)):
            raise BrokenMetadata(lfs.message(file.name), file=file.name, hint=lfs.HINT)


def _relations(stanza: Stanza) -> tuple[tuple[str, str], ...]:
    found = ((field, " ".join(stanza.get(field, "").split()).strip(", ")) for field in RELATIONS)
    return tuple((field, value) for field, value in found if value)
