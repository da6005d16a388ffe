"""Reads what a Debian source package is from the names and texts of a directory, without running anything.

Input: the names in a directory, and a function that reads a file of it; they may be of a commit (cb-request) or on disk
(`cb-ctl check`, the builder's step `source`), so that all of them find the same. Output: a SourceLayout, whose form
says how the source is unpacked. Must not: look at the content of tarballs.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath

from cloud_builder.errors import Rejected
from cloud_builder.model import lfs
from cloud_builder.ports.metadata import BrokenMetadata, Read

from .changelog import CHANGELOG, ChangelogEntry, is_version, newest_entry
from .source_form import Form, form_of
from .stanzas import BrokenStanza, Stanza, read_stanzas, without_signature

CONTROL = "debian/control"
SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*")
_LISTED = re.compile(r"(?P<sha256>[0-9a-fA-F]{64})\s+(?P<size>[0-9]{1,18})\s+(?P<name>\S+)", re.ASCII)
_AGAIN = "Make it again with `dpkg-source -b`."


@dataclass(frozen=True)
class ListedFile:
    """A file that a *.dsc lists."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class SourceLayout:
    """A source package. `file`: the file with `stanzas`, debian/control or a *.dsc; the first is the source's.

    `tarballs`: the pristine tarballs of a source with debian/; `listed`: the files of a *.dsc."""

    form: Form
    name: str
    version: str
    epoch: int | None
    file: str
    text: str
    stanzas: tuple[Stanza, ...]
    tarballs: tuple[str, ...] = ()
    listed: tuple[ListedFile, ...] = ()


def read_layout(names: Collection[str], read: Read) -> SourceLayout:
    """Returns the source package of a directory. Raises BrokenMetadata with file and line."""
    descriptions = sorted(name for name in names if name.endswith(".dsc"))
    if len(descriptions) > 1:
        hint = "Keep one *.dsc and its tarballs in a unit."
        raise BrokenMetadata(f"more than one source: {', '.join(descriptions)}", file=descriptions[1], hint=hint)
    if descriptions:
        return _of_dsc(descriptions[0], names, read)
    if "debian" not in names:
        hint = "The directory of a package has debian/, or a *.dsc beside its tarballs."
        raise BrokenMetadata("the unit has neither debian/ nor a *.dsc", file="", hint=hint)
    return _of_debian(names, read)


def read_text(read: Read, file: str, hint: str = "A source package needs it.") -> str:
    """Returns a text of the unit. Raises BrokenMetadata when it is missing, too large or not UTF-8."""
    try:
        content = read(file)
    except Rejected as error:
        if error.code != "unknown-path":
            raise BrokenMetadata(error.message, file=file, hint=error.hint) from error
        raise BrokenMetadata("the file is missing", file=file, hint=hint) from error
    if lfs.is_pointer(content):
        raise BrokenMetadata(lfs.message(PurePosixPath(file).name), file=file, hint=lfs.HINT)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        if file == CHANGELOG:  # old entries may have any encoding
            return content.decode(errors="replace")
        line = content.count(b"\n", 0, error.start) + 1
        raise BrokenMetadata("not UTF-8 text", file=file, line=line, hint="Save the file in UTF-8.") from error


def _stanzas(text: str, file: str) -> list[Stanza]:
    try:
        return read_stanzas(text)
    except BrokenStanza as error:
        hint = "A line begins a field (Name: value), continues it (with a space first), or is a # comment."
        raise BrokenMetadata(str(error), file=file, line=error.line, hint=hint) from error


def _of_debian(names: Collection[str], read: Read) -> SourceLayout:
    text = read_text(read, CONTROL, "A generated debian/control (from control.in) must be committed, too.")
    stanzas = _stanzas(text, CONTROL)
    if not stanzas or "Source" not in stanzas[0]:
        hint = "The first paragraph begins with Source: NAME."
        raise BrokenMetadata("no Source in the first paragraph", file=CONTROL, line=1, hint=hint)
    entry = _last_change(read)
    if stanzas[0]["Source"] != entry.source:
        message = f"the newest entry is of {entry.source}, but debian/control says Source: {stanzas[0]['Source']}"
        raise BrokenMetadata(message, file=CHANGELOG, line=entry.line, hint="Make both the same.")
    form, tarballs = form_of(names, read, entry)
    return SourceLayout(form, entry.source, entry.version, entry.epoch, CONTROL, text, tuple(stanzas), tarballs)


def _last_change(read: Read) -> ChangelogEntry:
    entry = newest_entry(read_text(read, CHANGELOG))
    if entry is None:
        hint = "The first line is like `name (1.0-1) unstable; urgency=medium`; `dch` writes valid entries."
        raise BrokenMetadata("no entry with a heading", file=CHANGELOG, line=1, hint=hint)
    if not SOURCE_NAME.fullmatch(entry.source) or not entry.version:
        hint = "The first line of an entry is like `name (1.0-1) unstable; urgency=medium`."
        raise BrokenMetadata("no valid source and version", file=CHANGELOG, line=entry.line, hint=hint)
    if entry.epoch is None:
        line, hint = entry.trailer_line or entry.line, "`date -R` prints a valid one; `dch -r` writes it."
        message = f"the entry of {entry.version} has no valid date in its last line (` -- NAME <MAIL>  DATE`)"
        raise BrokenMetadata(message, file=CHANGELOG, line=line, hint=hint)
    return entry


def _of_dsc(file: str, names: Collection[str], read: Read) -> SourceLayout:
    text = read_text(read, file)
    stanzas = _stanzas(without_signature(text), file)[:1]
    if not stanzas or "Source" not in stanzas[0]:
        raise BrokenMetadata("no Source field", file=file, line=1, hint="Take the *.dsc that dpkg-source wrote.")
    dsc = stanzas[0]
    name, version = dsc["Source"], dsc.get("Version", "")
    if not SOURCE_NAME.fullmatch(name) or not is_version(version):
        line = dsc.line("Version") or dsc.line("Source")
        raise BrokenMetadata("no valid Source and Version", file=file, line=line, hint=_AGAIN)
    listed = tuple(_listed(dsc, file, names))
    return SourceLayout(Form.DSC, name, version, None, file, text, tuple(stanzas), listed=listed)


def _listed(dsc: Stanza, file: str, names: Collection[str]) -> list[ListedFile]:
    """Returns the files of a *.dsc by its sha256 sums; all of them are among the names."""
    found, line = [], dsc.line("Checksums-Sha256")
    for number, text in enumerate(dsc.lines("Checksums-Sha256"), line + 1):
        entry = _LISTED.fullmatch(text)
        if entry is None:
            raise BrokenMetadata("Checksums-Sha256 is malformed", file=file, line=number, hint=_AGAIN)
        if entry["name"] not in names:
            message = f"it lists {entry['name']}, which is not in the unit"
            hint = "Put all files of the .dsc into the directory."
            raise BrokenMetadata(message, file=file, line=number, hint=hint)
        found.append(ListedFile(entry["name"], int(entry["size"]), entry["sha256"].lower()))
    if not found:
        hint = "Make it again with a current dpkg: `dpkg-source -b`."
        raise BrokenMetadata("no Checksums-Sha256", file=file, line=line, hint=hint)
    return found
