"""Reads the versions that the packages of a source tree will have, before they are built.

Binary packages have the version of their source, which is in debian/changelog, unless debian/rules sets another one
(`dpkg-gencontrol -v`, for example for an epoch of their own). In that case it is unknown, and planning assumes that it
satisfies every relation. A binNMU is not a tree in git. From a *.dsc only its own Version is read: rules and Provides
are in its tarball. Its packages therefore count with the version of the source, and it provides no virtual packages.
Syntax: Debian policy 5.6.12 (versions), 7.5 (Provides).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from cloud_builder.errors import Rejected
from cloud_builder.ports.metadata import Read

RULES = "debian/rules"
VERSION = re.compile(r"[A-Za-z0-9.+:~-]{1,200}")
NOT_KNOWN = ""
_PROVIDED = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]+)(?::[a-z0-9-]+)?\s*(?:\(\s*(?P<operator>[<>=]+)\s*(?P<version>[^\s()]+)\s*\))?"
    r"\s*(?:\[[^\]]*\]\s*)?(?:<[^>]*>\s*)*"
)
_OWN_VERSION = ("${binary:Version}", "${source:Version}")


def version_of_packages(version: str, read: Read) -> str:
    """Returns the version of the packages that a tree with this source version makes; NOT_KNOWN: rules decide."""
    return NOT_KNOWN if _sets_version(_text(read, RULES)) else version


def _sets_version(rules: str) -> bool:
    """Returns whether a line calls dpkg-gencontrol, or dh_gencontrol, with -v."""
    commands = (line.partition("#")[0] for line in rules.replace("\\\n", " ").split("\n"))
    return any(word.startswith("-v") for each in commands for word in each.partition("gencontrol")[2].split())


def _text(read: Read, file: str) -> str:
    """Returns the text of a file; empty when it is missing, which the build will report."""
    try:
        return read(file).decode(errors="replace")
    except Rejected:
        return ""


def virtual_packages(fields: Iterable[str], own: Collection[str], version: str) -> Mapping[str, tuple[str, ...]]:
    """Returns the virtual packages of Provides fields, each with the versions in which it is provided.

    The versions are empty for a package without one, and NOT_KNOWN for one that only the build determines. A name that
    only the build determines (`${…}`) is left out. `own`: real packages of the source, which are no virtual packages.
    """
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for relation in (" ".join(each.split()) for field in fields for each in field.split(",")):
        provided = _PROVIDED.fullmatch(relation)
        if provided is None or provided["name"] in own:
            continue
        versions = found[provided["name"]]
        if provided["operator"] == "=":
            versions[_substituted(provided["version"], version)] = None
    return {name: tuple(versions) for name, versions in found.items()}


def _substituted(written: str, version: str) -> str:
    """Returns the version with dpkg's substitution variables replaced that mean the version of the source."""
    for variable in _OWN_VERSION:
        written = written.replace(variable, version or "${not-known}")
    return written if VERSION.fullmatch(written) else NOT_KNOWN
