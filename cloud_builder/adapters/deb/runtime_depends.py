"""Reads what the packages of a source tree will depend on, before they are built.

Input: the paragraphs of the binary packages in `debian/control`. Output: Depends and Pre-Depends of each package,
without what only the build determines: substitution variables (`${shlibs:Depends}`), and versions that contain one. A
relation too few is found later in the built package; a version too few only delays a job. Syntax: Debian policy 7.1,
7.2; deb-substvars(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_FIELDS = ("Pre-Depends", "Depends")
_VERSION_OF_BUILD = re.compile(r"\s*\([^()]*\$\{[^()]*\)")
_VARIABLE = "${"


def runtime_depends(binaries: Iterable[Mapping[str, object]]) -> dict[str, str]:
    """Returns the relations of each package that has any, by the package's name."""
    found = {str(binary["Package"]): ", ".join(_relations(binary)) for binary in binaries}
    return {name: relations for name, relations in found.items() if relations}


def _relations(binary: Mapping[str, object]) -> Iterable[str]:
    for field in _FIELDS:
        text = " ".join(str(binary.get(field, "")).split())
        for relation in _VERSION_OF_BUILD.sub("", text).split(","):
            alternatives = [alternative.strip() for alternative in relation.split("|")]
            known = [alternative for alternative in alternatives if alternative and _VARIABLE not in alternative]
            if known:
                yield " | ".join(known)
