"""Reads a .deb: its control paragraph, and the stanza of a Packages index that is made from it.

dpkg-deb reads the file, because it supports every compression. A stanza is made from the parsed paragraph, so that a
crafted control file cannot add a second stanza or a false checksum to an index.
"""

from __future__ import annotations

import re
from pathlib import Path

from cloud_builder.adapters import process
from cloud_builder.errors import Permanent
from cloud_builder.model.artifact import BinaryPackage

from .stanzas import Stanza, dump, read_stanzas

_INDEX_FIELDS = ("filename", "size", "md5sum", "sha1", "sha256", "sha512")
_BUILD_AGAIN = "Build the package again."
_BOUNDED = ("prlimit", "--fsize=67108864", "--cpu=60", "--core=0")
"""Limits of dpkg-deb, which unpacks the control archive on this machine: a small archive may expand without end."""
_REQUIRED_FIELDS = ("Package", "Version", "Architecture")


def read(path: Path) -> str:
    """Returns the control paragraph of a .deb. Raises Permanent (`not-a-deb`) when the file has none."""
    finished = process.run(
        [*_BOUNDED, "dpkg-deb", "--field", path],
        timeout=120.0,
        code="not-a-deb",
        hint="The file is damaged, or it is not a Debian binary package. Build the package again.",
    )
    control = finished.text.strip() + "\n"
    _parsed(control)
    return control


_MAX_CONTROL = 256 * 1024
"""Characters of a control paragraph: a build can write anything there."""
NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{0,200}")
VERSION = re.compile(r"[A-Za-z0-9.+:~-]{1,200}")
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]{0,60}")


def binary_package(control: str) -> BinaryPackage:
    """Returns the fields of a control paragraph (or of a stanza of Packages) that planning uses."""
    fields = _parsed(control)
    return BinaryPackage(
        name=fields["Package"],
        version=fields["Version"],
        architecture=fields["Architecture"],
        depends=_joined(fields, "Pre-Depends", "Depends"),
        provides=_unfolded(fields.get("Provides", "")),
        debug_symbols=fields.get("Auto-Built-Package") == "debug-symbols",
        conflicts=_joined(fields, "Conflicts", "Breaks"),
    )


def packages_entry(control: str, filename: str, size: int, sha256: str) -> str:
    """Returns the stanza of a Packages index, with a newline at its end.

    `filename`: relative to the URL of the repository.
    """
    fields = {name: value for name, value in _parsed(control).items() if name.lower() not in _INDEX_FIELDS}
    return dump({**fields, "Filename": filename, "Size": str(size), "SHA256": sha256})


def _parsed(control: str) -> Stanza:
    if len(control) > _MAX_CONTROL:
        message = f"the control file has {len(control)} characters; at most {_MAX_CONTROL} are allowed"
        raise Permanent(message, code="not-a-deb", hint="Check debian/control, and the program that generates it.")
    try:
        fields, *_ = read_stanzas(control)
    except ValueError as cause:
        raise Permanent(f"the control file cannot be read: {cause}", code="not-a-deb", hint=_BUILD_AGAIN) from cause
    missing = [name for name in _REQUIRED_FIELDS if not fields.get(name)]
    if missing:
        raise Permanent(f"the control file has no {', '.join(missing)}", code="not-a-deb", hint=_BUILD_AGAIN)
    for name, allowed in (("Package", NAME), ("Version", VERSION), ("Architecture", _ARCHITECTURE)):
        if not allowed.fullmatch(fields[name]):
            raise Permanent(
                f"the control file has an invalid {name}: {fields[name][:80]!r}", code="not-a-deb", hint=_BUILD_AGAIN
            )
    return fields


def _joined(fields: Stanza, *names: str) -> str:
    relations = (_unfolded(fields[name]) for name in names if name in fields)
    return ", ".join(relation for relation in relations if relation)


def _unfolded(value: str) -> str:
    return " ".join(value.split()).rstrip(",")
