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
from typing import NamedTuple

from debian.debian_support import NativeVersion

from cloud_builder.model.artifact import Artifact

from .architectures import debian_architecture, is_concerned

_NAME = re.compile(r"(?:^|\|)\s*([a-z0-9][a-z0-9+.-]*)")
_SPACES = re.compile(r"[ \t\n\r\f\v]+")
"""What dpkg takes for spaces; others, such as a no-break space, are part of a word."""
_ALTERNATIVE = re.compile(
    r" ?(?P<name>[a-z0-9][a-z0-9+.-]*)(?::(?P<qualifier>[a-z0-9][a-z0-9-]*))?"
    r"(?: ?\( ?(?P<operator><<|<=|=|>=|>>|[<>]) ?(?P<version>[^)(\s]+) ?\))?"
    r"(?: ?\[(?P<architectures> ?!?[a-z0-9][a-z0-9-]*(?: !?[a-z0-9][a-z0-9-]*)*) ?\])?"
    r"(?P<profiles>(?: ?< ?!?[^<>!\s]+(?: !?[^<>!\s]+)* ?>)+)? ?",
    re.ASCII | re.IGNORECASE,
)
"""Dpkg::Deps::Simple, after spaces were folded. Stricter in two places where dpkg takes what it cannot use: an empty
list of architectures, and the marks of the syntax inside a profile or a version."""
_PROFILE_LISTS = re.compile(r"<([^>]*)>")
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


class Restricted(NamedTuple):
    """One alternative as written in the field, with its restrictions.

    `architectures`: `[linux-any !i386]` as words; empty: all. `profiles`: an or-list of and-lists; empty: always."""

    alternative: Alternative
    architectures: tuple[str, ...] = ()
    profiles: tuple[tuple[str, ...], ...] = ()


@lru_cache(maxsize=100_000)
def cached_groups(relations: str, machine: str, profiles: tuple[str, ...] = ()) -> tuple[Alternatives, ...]:
    """Returns `groups` from a cache, for fields that are read repeatedly: of binary packages and of queued jobs."""
    return groups(relations, machine, profiles)


def groups(relations: str, machine: str, profiles: tuple[str, ...] = ()) -> tuple[Alternatives, ...]:
    """Returns the alternatives of each relation that applies to the machine with these build profiles active.

    `a | b [arm64], c <!nocheck>` on x86_64 → ((a,), (c,))."""
    arch = debian_architecture(machine)
    return tuple(group for text in relations_of(relations) for group in _applicable(text, arch, profiles))


def relations_of(field: str) -> list[str]:
    """Returns the relations of a field, in one line each; an empty one is left out."""
    return [text for relation in _SPACES.sub(" ", field).split(",") if (text := relation.strip(" "))]


@lru_cache(maxsize=100_000)
def versions_provided(provides: str) -> Mapping[str, tuple[str, ...]]:
    """Returns the virtual packages of a Provides field, each with the versions in which it is provided."""
    versions: dict[str, tuple[str, ...]] = {}
    for name, operator, version in (alternative for group in groups(provides, "") for alternative in group):
        versions[name] = (*versions.get(name, ()), *([version] if operator == "=" else ()))
    return versions


def offered_profiles(relations: str) -> tuple[str, ...]:
    """Returns the build profiles that can make a build need less: the profiles of `<!profile>`."""
    restricted = [term for text in relations_of(relations) if "<" in text for term in _parsed(text)]
    words = {word for term in restricted for and_list in term.profiles for word in and_list}
    return tuple(sorted(word[1:] for word in words if word.startswith("!")))


def parse(relation: str) -> tuple[Restricted, ...] | None:
    """Returns the alternatives of one relation as dpkg reads them; None when dpkg cannot read it.

    `relation`: one of `relations_of`. The operators `<` and `>` mean `<=` and `>=` (Debian policy 7.1)."""
    alternatives = relation.rstrip(" |")  # dpkg takes no notice of a last `|`
    terms = [_term(text) for text in alternatives.split("|")] if alternatives else []
    return None if None in terms else tuple(term for term in terms if term is not None)


def _term(text: str) -> Restricted | None:
    found = _ALTERNATIVE.fullmatch(text)
    if found is None:
        return None
    operator = found["operator"] or ""
    profiles = _PROFILE_LISTS.findall(found["profiles"] or "")
    return Restricted(
        Alternative(found["name"], _OLD_OPERATORS.get(operator, operator), found["version"] or ""),
        tuple((found["architectures"] or "").split()),
        tuple(tuple(words.split()) for words in profiles),
    )


_OLD_OPERATORS = {"<": "<=", ">": ">="}


@lru_cache(maxsize=_RELATION_CACHE_SIZE)
def _applicable(relation: str, arch: str, profiles: tuple[str, ...]) -> tuple[Alternatives, ...]:
    """Returns the alternatives of a relation that apply, as one group; no group if none applies."""
    alternatives = tuple(
        term.alternative
        for term in _parsed(relation)
        if (not term.architectures or is_concerned(arch, term.architectures))
        and meets_profiles(term.profiles, profiles)
    )
    return (alternatives,) if alternatives else ()


@lru_cache(maxsize=_RELATION_CACHE_SIZE)
def _parsed(relation: str) -> tuple[Restricted, ...]:
    """Returns the alternatives of one relation; never raises, because packages can contain any text.

    A relation that dpkg cannot read (`a [ ]`) applies to every machine: a dependency too many only delays a job, a
    dependency too few makes a wrong build."""
    terms = parse(relation)
    return tuple(Restricted(Alternative(name)) for name in _NAME.findall(relation)) if terms is None else terms


def meets_profiles(restriction: Sequence[Sequence[str]], active: Sequence[str]) -> bool:
    """Returns whether a restriction by build profile is met: `<a b> <c>` is an or-list of and-lists.

    `x` is met when the profile is active, `!x` when it is not (https://wiki.debian.org/BuildProfileSpec)."""
    if not restriction:
        return True
    return any(all((word.lstrip("!") in active) != word.startswith("!") for word in words) for words in restriction)
