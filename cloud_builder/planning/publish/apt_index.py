"""The texts of an apt repository: Packages and Release (https://wiki.debian.org/DebianRepository/Format).

*Must not:* write, compress or sign files; the adapter does that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate

from cloud_builder.model.artifact import Artifact

COMPONENT = "main"


@dataclass(frozen=True)
class ReleaseFields:
    """The fields of Release that describe the repository itself."""

    label: str
    suite: str
    architectures: tuple[str, ...]
    date: int
    """Whole seconds since the epoch."""


def pool_path(artifact: Artifact) -> str:
    """Returns the path of a file below the repository's URL.

    The path contains the digest, so that a rebuilt file of the same name does not replace a file that apt is reading.
    """
    return f"pool/{artifact.sha256[:2]}/{artifact.sha256}/{artifact.name}"


def index_path(architecture: str) -> str:
    """Returns the path of Packages below the suite."""
    return f"{COMPONENT}/binary-{architecture}/Packages"


def packages(stanzas: Iterable[str]) -> str:
    """Returns a Packages index. `stanzas`: each ends in a newline."""
    return "\n".join(stanzas)


def stanzas(text: str) -> dict[str, str]:
    """Splits a Packages index; returns Filename → stanza."""
    by_filename = {}
    for stanza in text.split("\n\n"):
        _, _, rest = stanza.partition("\nFilename: ")
        if rest:
            by_filename[rest.partition("\n")[0]] = stanza.rstrip("\n") + "\n"
    return by_filename


def release(fields: ReleaseFields, files: Mapping[str, bytes]) -> str:
    """Returns Release for these files. `files`: by path below the suite.

    There is no Valid-Until, because apt would refuse a repository without new builds after that date."""
    lines = [
        "Origin: Cloud Builder",
        f"Label: {fields.label}",
        f"Suite: {fields.suite}",
        f"Codename: {fields.suite}",
        f"Date: {formatdate(fields.date, usegmt=True).replace('GMT', 'UTC')}",
        "Acquire-By-Hash: yes",
        f"Architectures: {' '.join(fields.architectures)}",
        f"Components: {COMPONENT}",
        f"Description: Packages of {fields.label}, built from git",
        "SHA256:",
        *(f" {hashlib.sha256(files[path]).hexdigest()} {len(files[path]):>9} {path}" for path in sorted(files)),
    ]
    return "\n".join(lines) + "\n"


def sources(url: str, suite: str, key: str) -> str:
    """Returns a complete deb822 source for /etc/apt/sources.list.d with the armored key in it (apt ≥ 2.4)."""
    armored = "\n".join(f" {line or '.'}" for line in key.strip().splitlines())
    return f"Types: deb\nURIs: {url}\nSuites: {suite}\nComponents: {COMPONENT}\nSigned-By:\n{armored}\n"


def one_line(url: str, suite: str, keyring: str) -> str:
    """Returns a source for older versions of apt. The administrator stores the key in the file `keyring`."""
    return f"deb [signed-by={keyring}] {url} {suite} {COMPONENT}\n"
