"""Explains from apt's reports why build dependencies cannot be installed.

Input: the output of the step that installs them (`build_deps`): apt's last report, its reports about each package that
it does not want to install, and `apt-cache policy`. Output: the relations of the source that are not met, each with the
relation at the end of the chain that is not met, whose dependency that is, and the version that there is instead.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

_HEADING = "The following packages have unmet dependencies"
_SOURCE = "builddeps"
"""The package that apt makes of the source: `builddeps:/layer/source`."""
_RELATION = r"(?P<kind>(?:Pre-?)?Depends|Conflicts|Breaks): (?P<what>.+?)(?: but (?P<why>.*))?$"
_LINE = re.compile(rf"^ (?:(?P<package>[^ :]+)\S* : | +){_RELATION}")
_CANDIDATE = re.compile(r"^  Candidate: (?P<version>\S+)")
_FOUND = re.compile(r"^(?P<version>\S+) is (?:to be )?installed$")
_BLOCKED = "it is not going to be installed"
_NOWHERE = "neither the repositories of the build root nor the mesh have such a package"


class UnmetRelation(NamedTuple):
    """A relation of a package that apt cannot satisfy, and apt's reason (empty: it gives none)."""

    kind: str
    what: str
    why: str

    @property
    def name(self) -> str:
        return re.split(r"[ :]", self.what)[0]

    @property
    def is_conflict(self) -> bool:
        return not self.kind.endswith("Depends")


def unmet_dependencies(output: Sequence[str]) -> str:
    """Returns the relations that apt could not satisfy, by reason; empty: apt reports none."""
    unmet, candidates = _reports(output), _candidates(output)
    own = unmet.pop(_SOURCE, None)
    if own is None:
        causes = "; ".join(_leaves(list(unmet), unmet, candidates))
        return f"the build dependencies cannot be installed: {causes}" if causes else ""
    found: dict[tuple[str, str], list[str]] = {}
    for relation in own:
        chain = _leaves([relation.name], unmet, candidates) if relation.why in ("", _BLOCKED) else ()
        reason = "; ".join(chain) or _reason(relation, candidates)
        field = "Build-Conflicts" if relation.is_conflict else "Build-Depends"
        found.setdefault((field, reason), []).append(relation.what)
    return "; ".join(f"{field}: {', '.join(what)} cannot be satisfied: {why}" for (field, why), what in found.items())


def _reports(output: Sequence[str]) -> dict[str, list[UnmetRelation]]:
    """Returns the unmet relations of each package, from all reports of apt."""
    found: dict[str, list[UnmetRelation]] = {}
    package = ""
    for line in output:
        match = _LINE.match(line)
        if match is None:
            package = ""
            continue
        package = match["package"] or package
        relation = UnmetRelation(match["kind"], match["what"], match["why"] or "")
        if package and relation not in found.setdefault(package, []):
            found[package].append(relation)
    return found


def _leaves(
    packages: Collection[str], unmet: Mapping[str, Sequence[UnmetRelation]], candidates: Mapping[str, str]
) -> Iterator[str]:
    """Yields a sentence for each relation at the end of a chain from these packages. Each package counts once."""
    todo, seen = list(packages), set(packages)
    while todo:
        package = todo.pop(0)
        for relation in unmet.get(package, ()):
            if relation.why == _BLOCKED and relation.name in unmet:
                todo += {relation.name} - seen
                seen.add(relation.name)
            elif relation.is_conflict:
                yield f"{package} conflicts with {relation.what}"
            else:
                yield f"{package} depends on {relation.what}, {_fate(relation, candidates)}"


def _fate(relation: UnmetRelation, candidates: Mapping[str, str]) -> str:
    version = _version(relation, candidates)
    if version:
        return f"and there is {relation.name} {version}"
    return "which is nowhere" if "not installable" in relation.why else f"but {relation.why or 'apt gives no reason'}"


def _reason(relation: UnmetRelation, candidates: Mapping[str, str]) -> str:
    """Returns the reason for a relation of the source itself."""
    version = _version(relation, candidates)
    if version:
        return f"there is {relation.name} {version}"
    is_single = "|" not in relation.what
    if "not installable" in relation.why or (is_single and candidates and relation.name not in candidates):
        return _NOWHERE
    return f"apt says: {relation.why}" if relation.why else "apt gives no reason"


def _version(relation: UnmetRelation, candidates: Mapping[str, str]) -> str:
    """Returns the version of the package that the relation does not accept; empty: that is not the reason."""
    if "(" not in relation.what or "|" in relation.what or relation.is_conflict:
        return ""
    found = _FOUND.match(relation.why)
    return found["version"] if found else candidates.get(relation.name, "")


def _candidates(output: Sequence[str]) -> dict[str, str]:
    """Returns the version of each package that apt would install, from the output of `apt-cache policy`."""
    found = {}
    for name, line in pairwise(line for line in output if not line.startswith("  Installed: ")):
        version = _CANDIDATE.match(line)
        if version and version["version"] != "(none)":
            found[name.rstrip(":")] = version["version"]
    return found
