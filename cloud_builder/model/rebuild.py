"""The rebuild suffix: what a package's version gets when it is built again with other contents.

`1.0-1` → `1.0-1+cb1` → `1.0-1+cb2`. A pattern has `{n}` in place of the number. The rules for a pattern, and why it
becomes part of the source version, are in doc/decisions/0027-a-rebuild-has-a-source-version-of-its-own.md.
"""

from __future__ import annotations

import re
from itertools import pairwise

from .frozen import LenientModel

DEFAULT_SUFFIX = "+cb{n}"
_PATTERN = re.compile(r"[A-Za-z+.~][A-Za-z0-9+.~]*\{n\}")
_BINARY_ONLY = re.compile(r"\+b\{n\}$")
_LATER = {
    "1.0": ("1.0.1", "1.0+deb12u1", "1.0+nmu1", "1.0+dfsg", "1.1"),
    "1.0-1": ("1.0-1.1", "1.0-1+deb12u1", "1.0-2"),
    "1.0-1~bpo12+1": ("1.0-1~bpo12+2", "1.0-1"),
    "1.0-1+deb12u1": ("1.0-1+deb12u2", "1.0-2"),
    "1.0~rc1-1": ("1.0~rc2-1", "1.0-1"),
    "1:1.0+dfsg-1": ("1:1.0+dfsg-1+deb12u1", "1:1.0+dfsg1-1", "1:1.0+dfsg-2"),
}
"""Versions, and versions that a maintainer gives after them (Debian policy 3.2.2; Developer's Reference 5.8, 5.11)."""


class Rebuild(LenientModel):
    """A source version, and how often it was built again with other contents."""

    version: str
    """The version in debian/changelog."""
    number: int = 0
    """0: built as debian/changelog says."""
    suffix: str = DEFAULT_SUFFIX

    @property
    def built_version(self) -> str:
        """The version of the source as it is built."""
        return self.version + self.suffix.replace("{n}", str(self.number)) if self.number else self.version


def valid_suffix(pattern: str) -> str:
    """Returns the pattern. Raises ValueError with the cause if it cannot be a rebuild suffix."""
    if error := suffix_error(pattern):
        raise ValueError(f"{pattern!r} cannot be a rebuild suffix: {error}")
    return pattern


def suffix_error(pattern: str) -> str:
    """Returns why a pattern cannot be a rebuild suffix; empty: it can."""
    if not _PATTERN.fullmatch(pattern) or pattern[:-3][-1:].isdigit():
        return "must be letters, '+', '.' or '~', then {n} for the number, e.g. +cb{n} or build{n}"
    if _BINARY_ONLY.search(pattern):
        return "dpkg takes +b and a number for a rebuild of some binaries, and keeps it out of ${source:Version}"
    from debian.debian_support import NativeVersion

    for version, later in _LATER.items():
        rebuilt = [Rebuild(version=version, number=number, suffix=pattern).built_version for number in (1, 2, 10)]
        for end in later:
            versions = [version, *rebuilt, end]
            for lower, higher in pairwise(versions):
                if not NativeVersion(lower) < NativeVersion(higher):
                    return f"dpkg does not take {higher} for newer than {lower}"
    return ""
