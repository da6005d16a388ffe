"""What packages say they need: relation fields (Debian policy 7.1) as groups of alternatives.

Planning asks which of our units, and later which of our artifacts, is meant. Both by one rule: an alternative is met by
a package of that name in a version that fits, or by one that provides the name in a version that fits; a virtual
package without a version meets no relation with one (policy 7.5). What of ours does not fit is not meant: then the
package is one of the repositories of the buildroot.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, cast

from debian.debian_support import NativeVersion

from cloud_builder.model.artifact import Artifact

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

_NAME = re.compile(r"(?:^|\|)\s*([a-z0-9][a-z0-9+.-]*)")
_MOST_RELATIONS = 200_000
"""Kept parsed: Debian's whole source index has 45,000 different ones."""


class Alternative(NamedTuple):
    """A package that would do, of a version that would do. `operator` empty: any version."""

    name: str
    operator: str = ""
    version: str = ""

    def fits(self, version: str) -> bool:
        """Whether that version would do; one that is not known, or is none, does."""
        return not self.operator or not version or _compares(version, self.operator, self.version)

    def fits_any(self, versions: Iterable[str]) -> bool:
        """Whether a virtual package that is provided in these versions would do."""
        return not self.operator or any(map(self.fits, versions))

    def is_met_by(self, artifact: Artifact) -> bool:
        """Whether a package that has the name, or provides it, does so in a version that would do."""
        package = artifact.package
        if package is None or not self.operator:
            return package is not None
        if package.name == self.name and self.fits(package.version):
            return True
        return bool(package.provides) and self.fits_any(versions_provided(package.provides).get(self.name, ()))


Alternatives = tuple[Alternative, ...]
_COMPARE: Mapping[str, Callable[[NativeVersion, NativeVersion], object]] = {
    "<<": NativeVersion.__lt__,
    "<=": NativeVersion.__le__,
    "=": NativeVersion.__eq__,
    ">=": NativeVersion.__ge__,
    ">>": NativeVersion.__gt__,
}


@lru_cache(maxsize=_MOST_RELATIONS)
def _compares(version: str, operator: str, asked: str) -> bool:
    """What is no version is good enough: a dependency too many costs an order, one too few a wrong build."""
    try:
        return bool(_COMPARE[operator](NativeVersion(version), NativeVersion(asked)))
    except ValueError:
        return True


class _Term(NamedTuple):
    """One alternative as it is written, with its restrictions."""

    alternative: Alternative
    arch: object
    profiles: object


@lru_cache(maxsize=100_000)
def needed(relations: str, machine: str, profiles: tuple[str, ...] = ()) -> tuple[Alternatives, ...]:
    """As `groups`, of fields that are asked about again and again: those of binary packages, and of waiting jobs."""
    return groups(relations, machine, profiles)


def groups(relations: str, machine: str, profiles: tuple[str, ...] = ()) -> tuple[Alternatives, ...]:
    """Each relation that counts on this machine with these build profiles active, as its alternatives.

    `a | b [arm64], c <!nocheck>` on x86_64 → ((a,), (c,))."""
    arch = ARCHITECTURES.get(machine, machine)
    texts = " ".join(relations.split()).split(",")  # python-debian's time grows by the square of spaces
    return tuple(group for text in texts for group in _counting(text.strip(), arch, profiles))


@lru_cache(maxsize=100_000)
def versions_provided(provides: str) -> Mapping[str, tuple[str, ...]]:
    """Of a Provides field, each virtual package and the versions it is provided in."""
    found: dict[str, tuple[str, ...]] = {}
    for name, operator, version in (each for group in groups(provides, "") for each in group):
        found[name] = (*found.get(name, ()), *([version] if operator == "=" else ()))
    return found


def offered_profiles(relations: str) -> tuple[str, ...]:
    """The build profiles that could make a build need less: those of `<!profile>`."""
    texts = " ".join(relations.split()).split(",") if "<" in relations else ()
    terms = [term for text in texts for group in _parsed(text.strip()) for term in group]
    restrictions = [term.profiles for term in terms if isinstance(term.profiles, list)]
    return tuple(
        sorted({each.profile for listed in restrictions for ands in listed for each in ands if not each.enabled})
    )


@lru_cache(maxsize=_MOST_RELATIONS)
def _counting(relation: str, arch: str, profiles: tuple[str, ...]) -> tuple[Alternatives, ...]:
    found = []
    for group in _parsed(relation):
        counting = tuple(
            term.alternative
            for term in group
            if _arch_counts(term.arch, arch) and _profiles_count(term.profiles, profiles)
        )
        if counting:
            found.append(counting)
    return tuple(found)


@lru_cache(maxsize=_MOST_RELATIONS)
def _parsed(relation: str) -> tuple[tuple[_Term, ...], ...]:
    """The alternatives of one relation. What python-debian stumbles over (`a [ ]`) counts on every machine: a
    dependency too many costs an order, one too few a wrong build. A planner must survive whatever packages say."""
    if not relation:
        return ()
    from debian.deb822 import PkgRelation  # 4 MB, which a daemon that reads no relation does without

    try:
        parsed = cast(Sequence[Sequence[Mapping[str, object]]], PkgRelation.parse_relations(relation))
        return tuple(tuple(map(_term, group)) for group in parsed)
    except (IndexError, KeyError, ValueError, TypeError, AttributeError):
        names = tuple(_Term(Alternative(name), None, None) for name in _NAME.findall(relation))
        return (names,) if names else ()


def _term(item: Mapping[str, object]) -> _Term:
    operator, version = cast("tuple[str, str] | None", item.get("version")) or ("", "")
    known = _OLD_OPERATORS.get(operator, operator)
    alternative = (
        Alternative(str(item["name"]), known, version) if known in _COMPARE else Alternative(str(item["name"]))
    )
    return _Term(alternative, item.get("arch"), item.get("restrictions"))


_OLD_OPERATORS = {"<": "<=", ">": ">="}
"""Deprecated spellings (Debian policy 7.1)."""


def _arch_counts(restriction: object, arch: str) -> bool:
    """`[amd64 arm64]` one of them; `[!i386]` none of them; `linux-any` and `any` match."""
    if not isinstance(restriction, list) or not restriction:
        return True
    listed = any(entry.arch in (arch, "any", "linux-any", f"any-{arch}") for entry in restriction)
    return listed if restriction[0].enabled else not listed


def _profiles_count(restrictions: object, active: tuple[str, ...]) -> bool:
    """`<a b> <c>`: a or-list of and-lists. A term is true when its profile is active, `!x` when x is not."""
    if not isinstance(restrictions, list) or not restrictions:
        return True
    return any(all(term.enabled == (term.profile in active) for term in terms) for terms in restrictions)
