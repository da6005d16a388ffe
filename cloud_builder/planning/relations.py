"""What packages say they need: relation fields (Debian policy 7.1) as groups of alternatives.

Versions are not compared here: which version is good enough is decided by the package manager in the buildroot, which
sees all of them. Planning only asks which of our units could be meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import cast

from debian.deb822 import PkgRelation

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
Alternatives = tuple[str, ...]


@lru_cache(maxsize=100_000)
def needed(relations: str, machine: str) -> tuple[Alternatives, ...]:
    """The names of each relation that counts on this machine with no build profile active.

    `a | b [arm64], c <!nocheck>` on x86_64 → ((a,), (c,))."""
    if not relations.strip():
        return ()
    arch = ARCHITECTURES.get(machine, machine)
    groups = []
    for relation in " ".join(relations.split()).split(","):  # python-debian's time grows by the square of spaces
        for group in _parsed(relation):
            names = tuple(str(item["name"]) for item in group if _counts(item, arch))
            if names:
                groups.append(names)
    return tuple(groups)


def _parsed(relation: str) -> Sequence[Sequence[Mapping[str, object]]]:
    """The alternatives of one relation. What python-debian stumbles over (`a [ ]`) counts on every machine: a
    dependency too many costs an order, one too few a wrong build. A planner must survive whatever packages say."""
    if not relation.strip():
        return []
    try:
        return cast(Sequence[Sequence[Mapping[str, object]]], PkgRelation.parse_relations(relation))
    except (IndexError, KeyError, ValueError, TypeError, AttributeError):
        return [[{"name": name} for name in _NAME.findall(relation)]]


def _counts(item: Mapping[str, object], arch: str) -> bool:
    return _arch_counts(item.get("arch"), arch) and _profiles_count(item.get("restrictions"))


def _arch_counts(restriction: object, arch: str) -> bool:
    """`[amd64 arm64]` one of them; `[!i386]` none of them; `linux-any` and `any` match."""
    if not isinstance(restriction, list) or not restriction:
        return True
    listed = any(entry.arch in (arch, "any", "linux-any", f"any-{arch}") for entry in restriction)
    return listed if restriction[0].enabled else not listed


def _profiles_count(restrictions: object) -> bool:
    """`<a b> <c>`: a or-list of and-lists. With no profile active only `<!x>` terms are true."""
    if not isinstance(restrictions, list) or not restrictions:
        return True
    return any(all(not term.enabled for term in terms) for terms in restrictions)


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


def closure(relations: str, machine: str, find: Callable[[str], Artifact | None]) -> tuple[Artifact, ...]:
    """The artifacts of ours that a build with these relations may use: those it names, and what they depend on.

    `find(name)`: our artifact of that name. Of alternatives all that we have are given: the solver in the buildroot
    chooses. Sorted by name and digest."""
    chosen: dict[str, Artifact] = {}
    todo = [relations]
    while todo:
        for group in needed(todo.pop(), machine):
            for name in group:
                artifact = find(name)
                if artifact is not None and artifact.sha256 not in chosen:
                    chosen[artifact.sha256] = artifact
                    assert artifact.package is not None
                    todo.append(artifact.package.depends)
    return tuple(sorted(chosen.values(), key=lambda a: (a.name, a.sha256)))
