"""What a binary package says of itself: a .deb in, its control paragraph and its stanza of a Packages index out.

Reading goes through dpkg-deb, which knows every compression; all the rest is text. A stanza is made from the parsed
paragraph, so that a crafted control file cannot smuggle a second stanza or a false checksum into an index.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_builder.adapters import process
from cloud_builder.errors import Permanent
from cloud_builder.model.artifact import BinaryPackage

if TYPE_CHECKING:
    from debian.deb822 import Deb822

_OURS = ("Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512")
_AGAIN = "Build the package again."
_BOUNDED = ("prlimit", "--fsize=67108864", "--cpu=60", "--core=0")
"""dpkg-deb unpacks the control archive on this machine, and a small one may explode."""
_NEEDED = ("Package", "Version", "Architecture")


def read(path: Path) -> str:
    """The control paragraph of a .deb. Permanent(code="not-a-deb") when it has none."""
    finished = process.run(
        [*_BOUNDED, "dpkg-deb", "--field", path],
        timeout=120.0,
        code="not-a-deb",
        hint="The file is damaged or is no Debian binary package.",
    )
    control = finished.text.strip() + "\n"
    _parsed(control)
    return control


_MOST = 256 * 1024
"""Characters of a control paragraph: what the build made may be anything."""
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{0,200}")
_VERSION = re.compile(r"[A-Za-z0-9.+:~-]{1,200}")
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]{0,60}")


def binary_package(control: str) -> BinaryPackage:
    """A control paragraph (or a stanza of Packages) as planning knows it."""
    fields = _parsed(control)
    depends = [_unfolded(fields[name]) for name in ("Pre-Depends", "Depends") if name in fields]
    return BinaryPackage(
        name=fields["Package"],
        version=fields["Version"],
        architecture=fields["Architecture"],
        depends=", ".join(relation for relation in depends if relation),
        provides=_unfolded(fields.get("Provides", "")),
    )


def packages_entry(control: str, filename: str, size: int, sha256: str) -> str:
    """The stanza of a Packages index, ending in a newline. `filename` is relative to the repository's URL."""
    fields = _parsed(control)
    for name in _OURS:
        fields.pop(name, None)
    fields.update({"Filename": filename, "Size": str(size), "SHA256": sha256})
    dumped: str = fields.dump()
    return dumped


def _parsed(control: str) -> Deb822:
    from debian.deb822 import Deb822

    if len(control) > _MOST:
        message = f"control file of {len(control)} characters, {_MOST} are allowed"
        raise Permanent(message, code="not-a-deb", hint="Look at debian/control, and at what generates it.")
    try:
        fields = Deb822(control)
    except (ValueError, TypeError, KeyError) as cause:
        raise Permanent(f"control file that cannot be read: {cause}", code="not-a-deb", hint=_AGAIN) from cause
    missing = [name for name in _NEEDED if not fields.get(name)]
    if missing:
        raise Permanent(f"control file without {', '.join(missing)}", code="not-a-deb", hint=_AGAIN)
    for name, allowed in (("Package", _NAME), ("Version", _VERSION), ("Architecture", _ARCHITECTURE)):
        if not allowed.fullmatch(fields[name]):
            raise Permanent(f"control file with {name} {fields[name][:80]!r}", code="not-a-deb", hint=_AGAIN)
    return fields


def _unfolded(value: str) -> str:
    return " ".join(value.split()).rstrip(",")
