"""Reads the metadata of a Debian source package: binary packages and build dependencies.

Input: the text of `debian/control` or of a `*.dsc`; no program of the package is run. Output:
`ports.metadata.Metadata`. The versions of the binary packages come from `source_versions`. A broken file is rejected
with its line: a dependency that is overlooked would build a unit in the wrong order. Syntax: Debian policy 5.1
(fields), 7.1 (relations).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cloud_builder.errors import Rejected
from cloud_builder.model import lfs
from cloud_builder.ports.metadata import BrokenMetadata, Metadata, Read

from .source_versions import VERSION, version_of_tree, virtual_packages

if TYPE_CHECKING:
    from debian.deb822 import Deb822

CONTROL = "debian/control"
_FIELDS = ("Build-Depends", "Build-Depends-Arch", "Build-Depends-Indep")
_FIELD_LINE = re.compile(r"^[!-9;-~]+:")
_NAME = re.compile(r"^[a-z0-9][a-z0-9+.-]+$")
_RELATION = re.compile(
    r"^[a-z0-9][a-z0-9+.-]*(:[a-z0-9-]+)?"
    r"(\s*\(\s*(<<|<=|=|>=|>>)\s*[^\s()]+\s*\))?"
    r"(\s*\[\s*!?[a-z0-9-]+(\s+!?[a-z0-9-]+)*\s*\])?"
    r"(\s*<\s*!?[a-z0-9.+-]+(\s+!?[a-z0-9.+-]+)*\s*>)*$"
)


class DebMetadata:
    """The port MetadataReader for Debian sources."""

    expects = "debian/control or a *.dsc"

    def applies(self, names: Collection[str]) -> bool:
        return "debian" in names or any(name.endswith(".dsc") for name in names)

    def read(self, names: Collection[str], read: Read) -> Metadata:
        descriptions = sorted(name for name in names if name.endswith(".dsc"))
        if len(descriptions) > 1:
            hint = "Keep one *.dsc and its tarballs in a unit."
            raise BrokenMetadata(f"more than one source: {', '.join(descriptions)}", file=descriptions[1], hint=hint)
        if descriptions:
            return _of_dsc(_text(read, descriptions[0]), descriptions[0])
        return _of_control(_text(read, CONTROL), version_of_tree(read))


def _text(read: Read, file: str) -> str:
    try:
        content = read(file)
    except Rejected as error:
        if error.code != "unknown-path":
            raise BrokenMetadata(error.message, file=file, hint=error.hint) from error
        hint = "A generated debian/control (from control.in) must be committed, too."
        raise BrokenMetadata("the file is missing", file=file, hint=hint) from error
    if lfs.is_pointer(content):
        raise BrokenMetadata(lfs.message(PurePosixPath(file).name), file=file, hint=lfs.HINT)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BrokenMetadata("not UTF-8 text", file=file, line=line, hint="Save the file in UTF-8.") from error


def _of_control(text: str, version: str) -> Metadata:
    from debian.deb822 import Deb822

    _check_lines(text)
    paragraphs = list(Deb822.iter_paragraphs(text.splitlines(), use_apt_pkg=False))
    if not paragraphs or "Source" not in paragraphs[0]:
        hint = "The first paragraph begins with Source: NAME."
        raise BrokenMetadata("no Source in the first paragraph", file=CONTROL, line=1, hint=hint)
    binaries = paragraphs[1:]
    names = [str(binary["Package"]) for binary in binaries if "Package" in binary]
    if len(names) < len(binaries) or not names:
        hint = "Each paragraph after the first begins with Package: NAME."
        raise BrokenMetadata(
            "a paragraph without Package" if binaries else "no binary package", file=CONTROL, hint=hint
        )
    _check_names(names, CONTROL)
    virtual = virtual_packages((str(binary.get("Provides", "")) for binary in binaries), names, version)
    provides = tuple(dict.fromkeys((*names, *virtual)))
    return Metadata(provides, _relations(paragraphs[0], text, CONTROL), version, virtual)


def _of_dsc(text: str, file: str) -> Metadata:
    from debian.deb822 import Dsc

    description = Dsc(text.splitlines())
    if "Source" not in description:
        raise BrokenMetadata("no Source field", file=file, line=1, hint="Take the *.dsc that dpkg-source wrote.")
    listed = description.get("Package-List", ())
    if not isinstance(listed, list | tuple):
        hint = "Each package is on its own line after a space. Take the *.dsc that dpkg-source wrote."
        raise BrokenMetadata(
            "Package-List is not a list", file=file, line=_line_of(text, "Package-List", ""), hint=hint
        )
    names = [str(entry["package"]) for entry in listed]
    names = names or [name.strip() for name in str(description.get("Binary", "")).split(",") if name.strip()]
    if not names:
        raise BrokenMetadata("no binary package", file=file, hint="Take the *.dsc that dpkg-source wrote.")
    _check_names(names, file)
    version = VERSION.fullmatch(str(description.get("Version", "")).strip())
    return Metadata(tuple(dict.fromkeys(names)), _relations(description, text, file), version[0] if version else "")


def _check_lines(text: str) -> None:
    """Rejects lines that are not a field. python-debian would skip them without a message."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.startswith((" ", "\t", "#")) and not _FIELD_LINE.match(line):
            hint = "A line begins a field (Name: value), continues it (with a space first), or is a # comment."
            raise BrokenMetadata(f"not a field: {line[:60]}", file=CONTROL, line=number, hint=hint)


def _check_names(names: list[str], file: str) -> None:
    for name in names:
        if not _NAME.match(name):
            hint = "Lower-case letters, digits and + - . are allowed."
            raise BrokenMetadata(f'"{name[:60]}" is not a package name', file=file, hint=hint)


def _relations(paragraph: Deb822, text: str, file: str) -> str:
    relations = [
        (field, " ".join(relation.split()))
        for field in _FIELDS
        for relation in str(paragraph.get(field, "")).split(",")
        if relation.strip()
    ]
    for field, relation in relations:
        for alternative in relation.split("|"):
            if not _RELATION.match(alternative.strip()):
                line = _line_of(text, field, alternative)
                hint = "Write it as: name (>= version) [architecture] <profile>, alternatives with |"
                raise BrokenMetadata(
                    f'{field}: "{alternative.strip()[:80]}" is not a package', file=file, line=line, hint=hint
                )
    return ", ".join(relation for _, relation in relations)


def _line_of(text: str, field: str, relation: str) -> int:
    """Returns the number of the line with the relation, or that of its field when the relation is not found."""
    lines = text.splitlines()
    first = next((n for n, line in enumerate(lines) if line.lower().startswith(field.lower() + ":")), 0)
    parts = relation.split()
    found = (n for n, line in enumerate(lines[first:], first) if parts and parts[0] in line)
    return next(found, first) + 1
