"""Debian architectures, and the wildcards that match them. Pure.

The rules are those of dpkg (`dpkg-architecture -i`, Dpkg::Arch): an architecture is a tuple of ABI, libc, kernel and
CPU, and a wildcard has `any` in some of the four places. Places that are left out on the left are `any`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

ARCHITECTURES: Mapping[str, str] = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "armhf",
    "i686": "i386",
    "ppc64le": "ppc64el",
    "riscv64": "riscv64",
    "s390x": "s390x",
}
"""`platform.machine()` → Debian architecture (dpkg's cputable)."""

_TUPLES: Mapping[str, tuple[str, str, str, str]] = {
    "amd64": ("base", "gnu", "linux", "amd64"),
    "arm64": ("base", "gnu", "linux", "arm64"),
    "armhf": ("eabihf", "gnu", "linux", "arm"),
    "i386": ("base", "gnu", "linux", "i386"),
    "ppc64el": ("base", "gnu", "linux", "ppc64el"),
    "riscv64": ("base", "gnu", "linux", "riscv64"),
    "s390x": ("base", "gnu", "linux", "s390x"),
}
"""Architecture → its tuple (dpkg's tupletable), for those that something is built for."""
_ANY = "any"
_LINUX = "linux-"
"""A prefix that dpkg ignores: `linux-amd64` is amd64."""


def debian_architecture(machine: str) -> str:
    """Returns the Debian architecture of a `platform.machine()`."""
    return ARCHITECTURES.get(machine, machine)


@lru_cache(maxsize=10_000)
def matches(architecture: str, wildcard: str) -> bool:
    """Returns whether a wildcard, or the name of an architecture, matches an architecture (`dpkg-architecture -i`)."""
    if wildcard in (architecture, _ANY):
        return True
    words = wildcard.split("-", 3)
    if _ANY not in words:
        return wildcard.startswith(_LINUX) and words[1] == architecture
    if architecture not in _TUPLES:
        return False
    pattern = [_ANY] * (4 - len(words)) + words
    return all(part in (_ANY, own) for part, own in zip(pattern, _TUPLES[architecture], strict=True))


def is_concerned(architecture: str, restriction: Iterable[str]) -> bool:
    """Returns whether a list of architectures includes one (Debian policy 7.1): the first word that decides wins.

    `amd64 linux-any` includes each that a word matches; `!i386` each that no word matches."""
    includes = False
    for word in map(str.lower, restriction):
        if word.startswith("!"):
            if matches(architecture, word[1:]):
                return False
            includes = True
        elif matches(architecture, word):
            return True
    return includes
