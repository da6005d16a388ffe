"""What packages say they need: relation fields (Debian policy 7.1) as groups of alternatives.

Planning asks which of our units could be meant. Whether a version is good enough is decided by the package manager in
the buildroot, which sees all of them; here versions only decide between alternatives that units of ours provide.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, cast

from debian.deb822 import PkgRelation
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
        if not self.operator or not version:
            return True
        try:
            found, asked = NativeVersion(version), NativeVersion(self.version)
        except ValueError:
            return True
        return bool(_COMPARE[self.operator](found, asked))


Alternatives = tuple[Alternative, ...]
_COMPARE: Mapping[str, Callable[[NativeVersion, NativeVersion], object]] = {
    "<<": NativeVersion.__lt__,
    "<=": NativeVersion.__le__,
    "=": NativeVersion.__eq__,
    ">=": NativeVersion.__ge__,
    ">>": NativeVersion.__gt__,
}


class _Term(NamedTuple):
    """One alternative as it is written, with its restrictions."""

    alternative: Alternative
    arch: object
    profiles: object


@lru_cache(maxsize=100_000)
def needed(relations: str, machine: str, profiles: tuple[str, ...] = ()) -> tuple[tuple[str, ...], ...]:
    """The names of each relation that counts on this machine with these build profiles active.

    `a | b [arm64], c <!nocheck>` on x86_64 → ((a,), (c,))."""
    return tuple(tuple(each.name for each in group) for group in groups(relations, machine, profiles))


def groups(relations: str, machine: str, profiles: tuple[str, ...] = ()) -> tuple[Alternatives, ...]:
    """Each relation that counts on this machine with these build profiles active, as its alternatives."""
    arch = ARCHITECTURES.get(machine, machine)
    texts = " ".join(relations.split()).split(",")  # python-debian's time grows by the square of spaces
    return tuple(group for text in texts for group in _counting(text.strip(), arch, profiles))


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


def provided(artifacts: Iterable[Artifact]) -> dict[str, Artifact]:
    """Binary and virtual package name → the artifact that brings it. A real name wins over a virtual one."""
    virtual: dict[str, Artifact] = {}
    real: dict[str, Artifact] = {}
    for artifact in artifacts:
        if (package := artifact.package) is not None:
            real[package.name] = artifact
            if package.provides:
                virtual.update((name, artifact) for group in needed(package.provides, "") for name in group)
    return {**virtual, **real}


def closure(
    relations: str, machine: str, find: Callable[[str], Artifact | None], *, profiles: tuple[str, ...] = ()
) -> tuple[Artifact, ...]:
    """The artifacts of ours that a build with these relations may use: those it names, and what they depend on.

    `find(name)`: our artifact of that name. Of alternatives the first that we have is given, as the order of the jobs
    was planned with it. Sorted by name and digest."""
    chosen: dict[str, Artifact] = {}
    todo = [(relations, profiles)]
    while todo:
        field, active = todo.pop()
        for group in needed(field, machine, active):
            artifact = next((found for name in group if (found := find(name)) is not None), None)
            if artifact is not None and artifact.sha256 not in chosen:
                chosen[artifact.sha256] = artifact
                assert artifact.package is not None
                todo.append((artifact.package.depends, ()))
    return tuple(sorted(chosen.values(), key=lambda a: (a.name, a.sha256)))
