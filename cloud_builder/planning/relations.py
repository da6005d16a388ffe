"""Relation fields of packages (Debian policy 7.1), parsed into groups of alternatives.

Planning resolves a relation twice: to the units of the sources, and later to the artifacts that were built. Both
resolutions follow one rule. An alternative is met by a package of that name in a version that fits, or by a package
that provides the name in a version that fits. A virtual package without a version meets no relation with a version
(policy 7.5). Units and artifacts that do not fit are not taken: the package then comes from the repositories of the
build root.
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
_RELATION_CACHE_SIZE = 200_000
"""Parsed relations that are cached: Debian's whole source index has 45,000 different ones."""


class Alternative(NamedTuple):
    """One alternative of a relation: a package name and the versions that are accepted.

    `operator` empty: any version is accepted."""

    name: str
    operator: str = ""
    version: str = ""

    def fits(self, version: str) -> bool:
        """True when the alternative accepts the version, or when the version is unknown or malformed."""
        return not self.operator or not version or _compares(version, self.operator, self.version)

    def fits_any(self, versions: Iterable[str]) -> bool:
        """True when the alternative accepts a virtual package that is provided in these versions."""
        return not self.operator or any(map(self.fits, versions))

    def is_met_by(self, artifact: Artifact) -> bool:
        """True when the package has the name, or provides it, in a version that fits."""
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


@lru_cache(maxsize=_RELATION_CACHE_SIZE)
def _compares(version: str, operator: str, required: str) -> bool:
    """Compares two versions; a malformed version fits.

    A dependency too many only delays a job, a dependency too few makes a wrong build."""
    try:
        return bool(_COMPARE[operator](NativeVersion(version), NativeVersion(required)))
    except ValueError:
        return True


class _Term(NamedTuple):
    """One alternative as written in the field, with its restrictions by architecture and by build profile."""

    alternative: Alternative
    arch: object
    profiles: object


@lru_cache(maxsize=100_000)
def cached_groups(relations: str, machine: str, profiles: tuple[str, ...] = ()) -> tuple[Alternatives, ...]:
    """Returns `groups` from a cache, for fields that are read repeatedly: of binary packages and of queued jobs."""
    return groups(relations, machine, profiles)


def groups(relations: str, machine: str, profiles: tuple[str, ...] = ()) -> tuple[Alternatives, ...]:
    """Returns the alternatives of each relation that applies to the machine with these build profiles active.

    `a | b [arm64], c <!nocheck>` on x86_64 → ((a,), (c,))."""
    arch = ARCHITECTURES.get(machine, machine)
    texts = " ".join(relations.split()).split(",")  # python-debian's time grows with the square of the spaces
    return tuple(group for text in texts for group in _applicable(text.strip(), arch, profiles))


@lru_cache(maxsize=100_000)
def versions_provided(provides: str) -> Mapping[str, tuple[str, ...]]:
    """Returns the virtual packages of a Provides field, each with the versions in which it is provided."""
    versions: dict[str, tuple[str, ...]] = {}
    for name, operator, version in (alternative for group in groups(provides, "") for alternative in group):
        versions[name] = (*versions.get(name, ()), *([version] if operator == "=" else ()))
    return versions


def offered_profiles(relations: str) -> tuple[str, ...]:
    """Returns the build profiles that can make a build need less: the profiles of `<!profile>`."""
    texts = " ".join(relations.split()).split(",") if "<" in relations else ()
    terms = [term for text in texts for group in _parsed(text.strip()) for term in group]
    restrictions = [term.profiles for term in terms if isinstance(term.profiles, list)]
    terms_of_profiles = [term for or_list in restrictions for and_list in or_list for term in and_list]
    return tuple(sorted({term.profile for term in terms_of_profiles if not term.enabled}))


@lru_cache(maxsize=_RELATION_CACHE_SIZE)
def _applicable(relation: str, arch: str, profiles: tuple[str, ...]) -> tuple[Alternatives, ...]:
    """Returns the groups of a relation without the alternatives that do not apply; without empty groups."""
    applicable = []
    for group in _parsed(relation):
        alternatives = tuple(
            term.alternative
            for term in group
            if _arch_matches(term.arch, arch) and _profiles_match(term.profiles, profiles)
        )
        if alternatives:
            applicable.append(alternatives)
    return tuple(applicable)


@lru_cache(maxsize=_RELATION_CACHE_SIZE)
def _parsed(relation: str) -> tuple[tuple[_Term, ...], ...]:
    """Returns the alternatives of one relation; never raises, because packages can contain any text.

    A relation that python-debian cannot parse (`a [ ]`) applies to every machine: a dependency too many only delays a
    job, a dependency too few makes a wrong build."""
    if not relation:
        return ()
    from debian.deb822 import PkgRelation  # 4 MB: daemons that read no relation do not load it

    try:
        parsed = cast(Sequence[Sequence[Mapping[str, object]]], PkgRelation.parse_relations(relation))
        return tuple(tuple(map(_term, group)) for group in parsed)
    except (IndexError, KeyError, ValueError, TypeError, AttributeError):
        names = tuple(_Term(Alternative(name), None, None) for name in _NAME.findall(relation))
        return (names,) if names else ()


def _term(item: Mapping[str, object]) -> _Term:
    operator, version = cast("tuple[str, str] | None", item.get("version")) or ("", "")
    name, operator = str(item["name"]), _OLD_OPERATORS.get(operator, operator)
    alternative = Alternative(name, operator, version) if operator in _COMPARE else Alternative(name)
    return _Term(alternative, item.get("arch"), item.get("restrictions"))


_OLD_OPERATORS = {"<": "<=", ">": ">="}
"""Deprecated spellings (Debian policy 7.1)."""


def _arch_matches(restriction: object, arch: str) -> bool:
    """True when a restriction by architecture admits `arch`.

    `[amd64 arm64]` admits each that is listed, `[!i386]` each that is not; `linux-any` and `any` match every one."""
    if not isinstance(restriction, list) or not restriction:
        return True
    listed = any(entry.arch in (arch, "any", "linux-any", f"any-{arch}") for entry in restriction)
    return listed if restriction[0].enabled else not listed


def _profiles_match(restrictions: object, active: tuple[str, ...]) -> bool:
    """True when a restriction by build profile is met: `<a b> <c>` is an or-list of and-lists.

    A term is true when its profile is active; `!x` is true when x is not active."""
    if not isinstance(restrictions, list) or not restrictions:
        return True
    return any(all(term.enabled == (term.profile in active) for term in terms) for terms in restrictions)
