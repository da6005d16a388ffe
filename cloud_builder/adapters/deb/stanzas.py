"""Reads the stanzas of control files (debian/control, *.dsc, *.changes, the control file of a .deb) as dpkg does.

The rules are those of Dpkg::Control::HashCore: a line ends with a line feed and nothing else, a field may have spaces
before its colon, lines that begin with `#` are comments, and only ASCII spaces are spaces. Input: text. Output: stanzas
whose values have dpkg's form, each with the lines of its fields for messages. python-debian is not used here, because
it ends lines at other characters, too (U+2028), and skips what is no field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

SPACES = " \t\r\f\v"
"""Spaces of dpkg within a line."""
_FIELD = re.compile(r"(?P<name>[!-,.-9;-~][!-9;-~]*)[ \t\r\f\v]*:[ \t\r\f\v]*(?P<value>.*)", re.DOTALL)
_BEGIN_SIGNED = re.compile(r"-----BEGIN PGP SIGNED MESSAGE-----[\r\t ]*")
_BEGIN_SIGNATURE = re.compile(r"-----BEGIN PGP SIGNATURE-----[\r\t ]*")
_SHOWN = 60
"""Characters of a line that a message quotes."""


class BrokenStanza(ValueError):
    """A line that dpkg does not read. `line` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class Stanza(Mapping[str, str]):
    """The fields of a stanza, in their order. Names are compared without regard to case.

    A value of several lines has them joined by line feeds, each without its first space, an empty one without its dot.
    """

    def __init__(self) -> None:
        self._fields: dict[str, tuple[str, list[str], int]] = {}

    def __getitem__(self, name: str) -> str:
        return "\n".join(self._fields[name.lower()][1])

    def __iter__(self) -> Iterator[str]:
        return (name for name, _, _ in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def line(self, name: str) -> int:
        """Returns the number of the field's first line; 0: there is no such field."""
        found = self._fields.get(name.lower())
        return found[2] if found else 0

    def lines(self, name: str) -> list[str]:
        """Returns the lines of a value after its first line, each without spaces at its ends."""
        return [line.strip(SPACES) for line in self._fields.get(name.lower(), ("", [], 0))[1][1:]]

    def add(self, name: str, value: str, line: int) -> None:
        if name.lower() in self._fields:
            raise BrokenStanza(f"the field {name} is there twice", line)
        self._fields[name.lower()] = (name, [value], line)

    def extend(self, name: str, value: str) -> None:
        self._fields[name.lower()][1].append(value)


def read_stanzas(text: str) -> list[Stanza]:
    """Returns the stanzas of a text. Raises BrokenStanza."""
    stanzas: list[Stanza] = []
    current: Stanza | None = None
    name = ""
    for number, written in enumerate(text.split("\n"), 1):
        line = written.rstrip(SPACES)
        if line.startswith("#"):
            continue
        if not line:
            current = None
            continue
        if current is None:
            current, name = Stanza(), ""
            stanzas.append(current)
        name = _read_line(current, name, line, number)
    return stanzas


def _read_line(stanza: Stanza, name: str, line: str, number: int) -> str:
    """Adds a line to a stanza; returns the name of its field."""
    if line[0] in SPACES:
        if not name:
            raise BrokenStanza(f"a continuation without a field: {line.strip(SPACES)[:_SHOWN]}", number)
        stanza.extend(name, line[2:] if set(line[1:]) == {"."} else line[1:])
        return name
    field = _FIELD.fullmatch(line)
    if field is None:
        raise BrokenStanza(f"not a field: {line[:_SHOWN]}", number)
    stanza.add(field["name"], field["value"], number)
    return field["name"]


def without_signature(text: str) -> str:
    """Returns a clear-signed text without its signature, with every line where it was; another text as it is."""
    lines = text.split("\n")
    start = next((number for number, line in enumerate(lines) if line.rstrip(SPACES)), len(lines))
    if start == len(lines) or not _BEGIN_SIGNED.fullmatch(lines[start]):
        return text
    body = next((number for number, line in enumerate(lines) if number > start and not line.strip(SPACES)), len(lines))
    end = next((number for number, line in enumerate(lines) if _BEGIN_SIGNATURE.fullmatch(line)), len(lines))
    return "\n".join(["" if number <= body else line for number, line in enumerate(lines[:end])])


def dump(fields: Mapping[str, str]) -> str:
    """Returns the text of a stanza as dpkg writes it, with a line feed at its end."""
    return "".join(_written(name, *value.split("\n")) for name, value in fields.items())


def _written(name: str, first: str, *more: str) -> str:
    lines = [f"{name}: {first}".rstrip(" "), *(f" {line}" if line.strip(".") else f" .{line}" for line in more)]
    return "\n".join(lines) + "\n"
