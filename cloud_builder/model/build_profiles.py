"""Build profiles and build options: their syntax, and the names that are known.

profile   what is built: restricts relations and packages (https://wiki.debian.org/BuildProfileSpec)
option    how it is built: a word of DEB_BUILD_OPTIONS (Debian Policy 4.9.1), as `nocheck` or `parallel=2`
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .nearest import did_you_mean, nearest

PROFILES = (
    "cross", "nobiarch", "nocheck", "nocil", "nodoc", "nogir", "nogolang", "noguile", "noinsttest", "nojava", "nolua",
    "noocaml", "noperl", "nopython", "noruby", "noudeb", "nowasm", "nowindows", "stage1", "stage2",
)  # fmt: skip
"""The registered profile names (https://wiki.debian.org/BuildProfileSpec#Registered_profile_names)."""
OPTIONS = (
    "nocheck", "nodoc", "noopt", "nostrip", "parallel", "terse",  # Debian Policy 4.9.1
    "abi", "future", "hardening", "optimize", "qa", "reproducible", "sanitize",  # dpkg-buildflags(1)
    "noautodbgsym",  # debhelper(7)
    "debug", "nobench", "noddebs", "nopgo", "nolto", "nolang",  # of many packages
)  # fmt: skip
"""Common build options. Each package may have others."""

PROFILE = r"^[a-z0-9][a-z0-9.+-]{0,99}$"
OPTION = r"^[A-Za-z0-9][A-Za-z0-9.+_-]{0,99}(=[!-~]{1,500})?$"
_OF_A_PACKAGE = re.compile(r"^pkg\.[a-z0-9][a-z0-9+.-]*\.[a-z0-9.+-]+$")
_FORMULA = re.compile(r"<[^<>]*>")


def unknown_profiles(profiles: Iterable[str], relations: str = "") -> Iterator[tuple[str, str]]:
    """Yields each profile that is neither registered, nor of a package (`pkg.SOURCE.NAME`), nor named by a relation,
    with a hint that has the nearest known name.

    relations   the relation fields of the units that are built with the profiles"""
    named = {term.lstrip("!") for formula in _FORMULA.findall(relations) for term in formula[1:-1].split()}
    for profile in profiles:
        if profile not in PROFILES and profile not in named and not _OF_A_PACKAGE.match(profile):
            found = nearest(profile, {*PROFILES, *named})
            hint = f"Did you mean {found}?" if found else did_you_mean(profile, PROFILES)
            yield profile, f"{hint} A profile of one package is named pkg.SOURCE.NAME."


def doubtful_options(options: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yields each option that is not a common one but nearly is, with the common one: `nochek`, `nocheck`."""
    for option in options:
        name = option.partition("=")[0]
        if name not in OPTIONS and (found := nearest(name, OPTIONS)):
            yield name, found


def split(texts: Iterable[str]) -> tuple[str, ...]:
    """Returns the words of texts, separated by commas or spaces, each once, sorted."""
    return tuple(sorted({word for text in texts for word in re.split(r"[\s,]+", text) if word}))
