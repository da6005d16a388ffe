"""The texts of an apt repository: Packages, Sources and Release (https://wiki.debian.org/DebianRepository/Format).

*Must not:* write, compress or sign files; the adapter does that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate

from cloud_builder.model.artifact import Artifact, SourcePackage
from cloud_builder.model.repository import PackageLists, SnapshotListing

ORIGIN = "Cloud Builder"
COMPONENT, DEBUG_COMPONENT = "main", "debug"
SOURCES = f"{COMPONENT}/source/Sources"
"""The path of Sources below the suite."""
DEBUG_SOURCES = f"{DEBUG_COMPONENT}/source/Sources"
"""Empty: apt warns a client of both sources and debug symbols when a component has no Sources."""
PIN_PRIORITY = 995
"""Above 500, the priority of other repositories, and above 990, that of a client's APT::Default-Release; below 1000,
from which on apt replaces an installed package by an older one."""


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


def source_path(source: SourcePackage) -> str:
    """Returns the directory of a source package below the repository's URL.

    It contains the digest of the description, which names the digests of all other files."""
    digest = source.files[0].sha256
    return f"pool/{digest[:2]}/{digest}"


def indices(listing: SnapshotListing) -> dict[str, tuple[str, ...]]:
    """Returns the indices of a snapshot: path below the suite → paths of the packages and sources that it lists.

    Indices of the installer exist only with packages, because few repositories have any."""
    debug = {**dict.fromkeys(listing.packages, ()), **listing.debug_packages}
    installer = listing.installer_packages if any(listing.installer_packages.values()) else {}
    return {
        **_package_indices(COMPONENT, listing.packages),
        **_package_indices(DEBUG_COMPONENT, debug),
        **_package_indices(f"{COMPONENT}/debian-installer", installer),
        SOURCES: tuple(source_path(source) for source in listing.sources),
        DEBUG_SOURCES: (),
    }


def pool_files(listing: SnapshotListing) -> set[str]:
    """Returns the paths of all files below the repository's URL that the indices name."""
    of_sources = {f"{source_path(source)}/{file.name}" for source in listing.sources for file in source.files}
    return {pool_path(artifact) for artifact in listing.binaries} | of_sources


def _package_indices(directory: str, lists: PackageLists) -> dict[str, tuple[str, ...]]:
    return {
        f"{directory}/binary-{architecture}/Packages": tuple(map(pool_path, listed))
        for architecture, listed in lists.items()
    }


def index(stanzas: Iterable[str]) -> str:
    """Returns a Packages or Sources index. `stanzas`: each ends in a newline."""
    return "\n".join(stanzas)


def stanzas(name: str, text: str) -> dict[str, str]:
    """Splits an index (`name`: Packages or Sources); returns path of the package or source → stanza."""
    field = "Directory" if name == "Sources" else "Filename"
    by_path = {}
    for stanza in text.split("\n\n"):
        _, _, rest = stanza.partition(f"\n{field}: ")
        if rest:
            by_path[rest.partition("\n")[0]] = stanza.rstrip("\n") + "\n"
    return by_path


def release(fields: ReleaseFields, files: Mapping[str, bytes]) -> str:
    """Returns Release for these files. `files`: by path below the suite.

    There is no Valid-Until, because apt would refuse a repository without new builds after that date."""
    lines = [
        f"Origin: {ORIGIN}",
        f"Label: {fields.label}",
        f"Suite: {fields.suite}",
        f"Codename: {fields.suite}",
        f"Date: {formatdate(fields.date, usegmt=True).replace('GMT', 'UTC')}",
        "Acquire-By-Hash: yes",
        f"Architectures: {' '.join(fields.architectures)}",
        f"Components: {COMPONENT} {DEBUG_COMPONENT}",
        f"Description: Packages of {fields.label}, built from git",
        "SHA256:",
        *(f" {hashlib.sha256(files[path]).hexdigest()} {len(files[path]):>9} {path}" for path in sorted(files)),
    ]
    return "\n".join(lines) + "\n"


def sources(url: str, suite: str, key: str) -> str:
    """Returns a complete deb822 source for /etc/apt/sources.list.d with the armored key in it (apt ≥ 2.4)."""
    armored = "\n".join(f" {line or '.'}" for line in key.strip().splitlines())
    return f"Types: deb\nURIs: {url}\nSuites: {suite}\nComponents: {COMPONENT}\nSigned-By:\n{armored}\n"


def with_debug_symbols(source: str) -> str:
    """Returns a source of `sources` with the component of debug symbols."""
    return source.replace(f"\nComponents: {COMPONENT}\n", f"\nComponents: {COMPONENT} {DEBUG_COMPONENT}\n")


def one_line(url: str, suite: str, keyring: str) -> str:
    """Returns a source for older versions of apt. The administrator stores the key in the file `keyring`."""
    return f"deb [signed-by={keyring}] {url} {suite} {COMPONENT}\n"


def preferences(label: str) -> str:
    """Returns preferences for /etc/apt/preferences.d: this repository before others, also at an equal version.

    Without them apt installs the highest version, and of equal versions the one of the source that it reads first
    (apt_preferences(5))."""
    return (
        f"Explanation: {label} comes before other repositories, at any version.\n"
        f"Package: *\nPin: release o={ORIGIN},l={label}\nPin-Priority: {PIN_PRIORITY}\n"
    )
