"""The texts of an apt repository: Packages and Release (https://wiki.debian.org/DebianRepository/Format).

Texts only: what is written where, compressed and signed, is the adapter's part.
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
    """What Release says of the repository itself. `date`: whole seconds since the epoch."""

    label: str
    suite: str
    architectures: tuple[str, ...]
    date: int


def pool_path(artifact: Artifact) -> str:
    """Where the file lies below the repository's URL: by content, so that a rebuilt file of the same name never
    disturbs someone who is reading the old one."""
    return f"pool/{artifact.sha256[:2]}/{artifact.sha256}/{artifact.name}"


def index_path(architecture: str) -> str:
    """Where Packages lies below the suite."""
    return f"{COMPONENT}/binary-{architecture}/Packages"


def packages(stanzas: Iterable[str]) -> str:
    """A Packages index from its stanzas, each ending in a newline."""
    return "\n".join(stanzas)


def stanzas(text: str) -> dict[str, str]:
    """The reverse: stanzas by their Filename."""
    found = {}
    for stanza in text.split("\n\n"):
        _, _, rest = stanza.partition("\nFilename: ")
        if rest:
            found[rest.partition("\n")[0]] = stanza.rstrip("\n") + "\n"
    return found


def release(facts: ReleaseFields, files: Mapping[str, bytes]) -> str:
    """Release for these files (by path below the suite).

    Without Valid-Until: a repository that nobody pushes to stays good."""
    lines = [
        "Origin: Cloud Builder",
        f"Label: {facts.label}",
        f"Suite: {facts.suite}",
        f"Codename: {facts.suite}",
        f"Date: {formatdate(facts.date, usegmt=True).replace('GMT', 'UTC')}",
        "Acquire-By-Hash: yes",
        f"Architectures: {' '.join(facts.architectures)}",
        f"Components: {COMPONENT}",
        f"Description: Packages of {facts.label}, built from git",
        "SHA256:",
        *(f" {hashlib.sha256(files[path]).hexdigest()} {len(files[path]):>9} {path}" for path in sorted(files)),
    ]
    return "\n".join(lines) + "\n"


def sources(url: str, suite: str, key: str) -> str:
    """A complete deb822 source for /etc/apt/sources.list.d, with the armored key inside (apt ≥ 2.4)."""
    armored = "\n".join(f" {line or '.'}" for line in key.strip().splitlines())
    return f"Types: deb\nURIs: {url}\nSuites: {suite}\nComponents: {COMPONENT}\nSigned-By:\n{armored}\n"


def one_line(url: str, suite: str, keyring: str) -> str:
    """The same for older apts; the key goes to the file `keyring` by hand."""
    return f"deb [signed-by={keyring}] {url} {suite} {COMPONENT}\n"
