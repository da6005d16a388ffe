"""What a source tree with debian/ says of the versions of its packages before they are built.

Binary packages have the version of their source, which is in the first line of debian/changelog, unless debian/rules
gives them another one (`dpkg-gencontrol -v`, as for an epoch of their own). Then, or when it cannot be read, the
version is not known, and whoever plans takes it for good enough. A binNMU is no tree in git. Of a *.dsc only its own
Version is read: rules and Provides are in its tarball, so packages of it count with the source's version, and it
provides no virtual ones. Syntax: Debian policy 4.4 (changelog), 5.6.12 (versions), 7.5 (Provides).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from cloud_builder.errors import Rejected
from cloud_builder.ports.metadata import Read

CHANGELOG, RULES = "debian/changelog", "debian/rules"
VERSION = re.compile(r"[A-Za-z0-9.+:~-]{1,200}")
NOT_KNOWN = ""
_HEADING = re.compile(r"[a-z0-9][a-z0-9+.-]*[ \t]+\(([^\s()]+)\)(?:[ \t]|$)", re.IGNORECASE)
_PROVIDED = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]+)(?::[a-z0-9-]+)?\s*(?:\(\s*(?P<operator>[<>=]+)\s*(?P<version>[^\s()]+)\s*\))?"
    r"\s*(?:\[[^\]]*\]\s*)?(?:<[^>]*>\s*)*"
)
_OWN_VERSION = ("${binary:Version}", "${source:Version}")


def version_of_tree(read: Read) -> str:
    """Of the packages that the tree makes; NOT_KNOWN when it cannot be told."""
    heading = next((line for line in _text(read, CHANGELOG).splitlines() if line.strip()), "")
    found = _HEADING.match(heading)
    if found is None or not VERSION.fullmatch(found[1]) or _gives_another(_text(read, RULES)):
        return NOT_KNOWN
    return found[1]


def _gives_another(rules: str) -> bool:
    """A line that calls dpkg-gencontrol, or dh_gencontrol, with -v."""
    commands = (line.partition("#")[0] for line in rules.replace("\\\n", " ").splitlines())
    return any(word.startswith("-v") for each in commands for word in each.partition("gencontrol")[2].split())


def _text(read: Read, file: str) -> str:
    """A file that the build will complain about when it has to; here it is only of use."""
    try:
        return read(file).decode(errors="replace")
    except Rejected:
        return ""


def virtual_packages(fields: Iterable[str], own: Collection[str], version: str) -> Mapping[str, tuple[str, ...]]:
    """Of Provides fields, each virtual package and the versions it is provided in: none when it has none, NOT_KNOWN for
    one that only the build will know. A name that is only known then (`${…}`) is left out, and what the source makes
    itself (`own`) is no virtual package of it."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for relation in (" ".join(each.split()) for field in fields for each in field.split(",")):
        provided = _PROVIDED.fullmatch(relation)
        if provided is None or provided["name"] in own:
            continue
        versions = found[provided["name"]]
        if provided["operator"] == "=":
            versions[_resolved(provided["version"], version)] = None
    return {name: tuple(versions) for name, versions in found.items()}


def _resolved(written: str, version: str) -> str:
    """With the substitution variables of dpkg that stand for the source's own version."""
    for variable in _OWN_VERSION:
        written = written.replace(variable, version or "${not-known}")
    return written if VERSION.fullmatch(written) else NOT_KNOWN
