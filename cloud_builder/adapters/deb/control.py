"""Reads the metadata of a Debian source package: binary packages and build dependencies.

Input: the names and texts of a unit (`source_layout`); no program of the package is run. Output:
`ports.metadata.Metadata`. The versions of the binary packages come from `source_versions`. A broken file is rejected
with its line: a dependency that is overlooked would build a unit in the wrong order. Syntax: Debian policy 5.2, 5.6
(fields), 7.1 (relations).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

from cloud_builder.errors import Rejected
from cloud_builder.planning.relations import parse, relations_of
from cloud_builder.ports.metadata import BrokenMetadata, Metadata, Read

from .runtime_depends import runtime_depends
from .source_form import Form
from .source_layout import SourceLayout, read_layout
from .source_versions import version_of_packages, virtual_packages
from .stanzas import Stanza

_FIELDS = ("Build-Depends", "Build-Depends-Arch", "Build-Depends-Indep")
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*")
_DSC_AGAIN = "Take the *.dsc that dpkg-source wrote."
_PACKAGE_LINE = re.compile(r"^(?:Package:[ \t]*| )([a-z0-9][a-z0-9+.-]+)(?:[ \t]*$| u?deb )", re.MULTILINE)
"""A paragraph of debian/control, or a line of Package-List."""


class DebMetadata:
    """The port MetadataReader for Debian sources."""

    expects = "debian/control or a *.dsc"

    def applies(self, names: Collection[str]) -> bool:
        return "debian" in names or any(name.endswith(".dsc") for name in names)

    def read(self, names: Collection[str], read: Read) -> Metadata:
        layout = read_layout(names, read)
        return _of_dsc(layout) if layout.form is Form.DSC else _of_control(layout, read)

    def package_names(self, names: Collection[str], read: Read) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for file in ("debian/control", *sorted(name for name in names if name.endswith(".dsc"))):
            with suppress(Rejected):
                found |= dict.fromkeys(_PACKAGE_LINE.findall(read(file).decode(errors="replace")))
        return tuple(found)


def _of_control(layout: SourceLayout, read: Read) -> Metadata:
    source, *binaries = layout.stanzas
    if not binaries:
        hint = "Each paragraph after the first begins with Package: NAME."
        raise BrokenMetadata("no binary package", file=layout.file, hint=hint)
    for binary in binaries:
        _check_binary(binary, layout.file)
    names = [binary["Package"] for binary in binaries]
    version = version_of_packages(layout.version, read)
    virtual = virtual_packages((binary.get("Provides", "") for binary in binaries), names, version)
    return Metadata(
        tuple(dict.fromkeys((*names, *virtual))),
        _relations(source, layout),
        version,
        virtual,
        runtime_depends(binaries),
        architectures=_joined((binary["Package"], binary["Architecture"].split()) for binary in binaries),
    )


def _check_binary(binary: Stanza, file: str) -> None:
    line = min(map(binary.line, binary))
    for field in ("Package", "Architecture"):
        if field not in binary:
            hint = "Each paragraph after the first has Package: NAME and Architecture: any (or all, or a list)."
            raise BrokenMetadata(f"a paragraph without {field}", file=file, line=line, hint=hint)
    _check_name(binary["Package"], file, binary.line("Package"))


def _of_dsc(layout: SourceLayout) -> Metadata:
    dsc = layout.stanzas[0]
    line = dsc.line("Package-List") or dsc.line("Binary")
    listed = [entry.split() for entry in dsc.lines("Package-List")]
    if dsc.get("Package-List", "").split("\n")[0]:
        hint = "Each package is on its own line after a space. " + _DSC_AGAIN
        raise BrokenMetadata("Package-List is not a list", file=layout.file, line=line, hint=hint)
    names = [entry[0] for entry in listed]
    names = names or [name.strip() for name in dsc.get("Binary", "").split(",") if name.strip()]
    if not names:
        raise BrokenMetadata("no binary package", file=layout.file, hint=_DSC_AGAIN)
    for name in names:
        _check_name(name, layout.file, line)
    return Metadata(
        tuple(dict.fromkeys(names)),
        _relations(dsc, layout),
        layout.version,
        architectures=_joined((entry[0], _architectures(entry[1:])) for entry in listed),
    )


def _architectures(words: Sequence[str]) -> list[str]:
    """Returns the architectures of an entry of Package-List (deb-src-control(5)): `arch=any` or `arch=amd64,arm64`."""
    return next((word.removeprefix("arch=").split(",") for word in words if word.startswith("arch=")), [])


def _joined(pairs: Iterable[tuple[str, Sequence[str]]]) -> dict[str, tuple[str, ...]]:
    """Returns the architectures by binary package. A package may have a paragraph for each of its architectures."""
    found: dict[str, tuple[str, ...]] = {}
    for name, architectures in pairs:
        found[name] = (*found.get(name, ()), *architectures)
    return found


def _check_name(name: str, file: str, line: int) -> None:
    if not _NAME.fullmatch(name):
        hint = "Lower-case letters, digits and + - . are allowed."
        raise BrokenMetadata(f'"{name[:60]}" is not a package name', file=file, line=line, hint=hint)


def _relations(stanza: Stanza, layout: SourceLayout) -> str:
    """Returns all relations of the fields of a source, in one line, separated by `, `."""
    relations = [(field, relation) for field in _FIELDS for relation in relations_of(stanza.get(field, ""))]
    for field, relation in relations:
        if parse(relation) is None:
            broken = next(text.strip(" ") for text in relation.split("|") if parse(text) is None)
            line = _line_of(layout.text, stanza.line(field), broken)
            hint = "Write it as: name (>= version) [architecture] <profile>, alternatives with |"
            raise BrokenMetadata(f'{field}: "{broken[:80]}" is not a package', file=layout.file, line=line, hint=hint)
    return ", ".join(relation for _, relation in relations)


def _line_of(text: str, first: int, relation: str) -> int:
    """Returns the number of the line with the relation, or that of its field when the relation is not found."""
    lines = text.split("\n")[first - 1 :]
    parts = relation.split()
    return first + next((n for n, line in enumerate(lines) if parts and parts[0] in line), 0)
