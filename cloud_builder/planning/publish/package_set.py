"""Sets of packages with lookups by name, and rules by which packages meet the relations of others (Debian policy 7).

A set has the packages of one architecture in all repositories of a suite: machines that follow several of them install
packages of one beside those of another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache

from cloud_builder.model.artifact import BinaryPackage
from cloud_builder.model.ids import RepositoryName
from cloud_builder.model.repository import ListedPackage
from cloud_builder.planning.relations import Alternative, Alternatives, cached_groups, versions_provided

PackageKey = tuple[RepositoryName, str]
"""A repository and the name of a package in it."""
Changes = Mapping[PackageKey, ListedPackage | None]
"""The next package of each key; None: the package leaves."""


class PackageSet:
    """Packages by their key. It indexes the names that they offer, and those that their relations mention."""

    def __init__(self, changes: Changes | None = None) -> None:
        self._by_key: dict[PackageKey, ListedPackage] = {}
        self._offering: dict[str, set[PackageKey]] = defaultdict(set)
        self._needing: dict[str, set[PackageKey]] = defaultdict(set)
        self.apply(changes or {})

    def __iter__(self) -> Iterator[PackageKey]:
        return iter(self._by_key)

    def get(self, key: PackageKey) -> ListedPackage | None:
        return self._by_key.get(key)

    def apply(self, changes: Changes) -> None:
        for key, package in changes.items():
            if (before := self._by_key.pop(key, None)) is not None:
                self._index(key, before, add=False)
            if package is not None:
                self._by_key[key] = package
                self._index(key, package, add=True)

    def offering(self, name: str) -> Collection[PackageKey]:
        """Returns the packages that have or provide the name."""
        return self._offering.get(name, ())

    def needing(self, name: str) -> Collection[PackageKey]:
        """Returns the packages with a relation that mentions the name."""
        return self._needing.get(name, ())

    def _index(self, key: PackageKey, package: ListedPackage, *, add: bool) -> None:
        for index, names in (
            (self._offering, offered_names(package.package)),
            (self._needing, needed_names(package.package)),
        ):
            for name in names:
                (index[name].add if add else index[name].discard)(key)
                if not index[name]:
                    del index[name]


class ChangedSet:
    """A set of packages with changes that are withdrawn one by one. The set itself does not change."""

    def __init__(self, packages: PackageSet, changes: Changes, added: PackageSet | None = None) -> None:
        self.packages, self.changes = packages, dict(changes)
        self._added = added or PackageSet(changes)

    def without(self, keys: Collection[PackageKey]) -> ChangedSet:
        """Returns the set without the changes of these keys."""
        changes = {key: package for key, package in self.changes.items() if key not in keys}
        return ChangedSet(self.packages, changes, self._added)

    def get(self, key: PackageKey) -> ListedPackage | None:
        return self.changes[key] if key in self.changes else self.packages.get(key)

    def withdraw(self, key: PackageKey) -> None:
        self.changes.pop(key, None)

    def offering(self, name: str) -> Iterator[PackageKey]:
        """Yields the packages that have or provide the name after the changes."""
        yield from (key for key in self.packages.offering(name) if key not in self.changes)
        yield from (key for key in self._added.offering(name) if self.changes.get(key) is not None)

    def needing(self, name: str) -> Iterator[PackageKey]:
        """Yields the packages with a relation that mentions the name after the changes."""
        yield from (key for key in self.packages.needing(name) if key not in self.changes)
        yield from (key for key in self._added.needing(name) if self.changes.get(key) is not None)


def relations(package: BinaryPackage) -> tuple[Alternatives, ...]:
    """Returns the alternatives of each relation that must be met for the package to be installed."""
    return cached_groups(package.depends, package.architecture) if package.depends else ()


def offered_names(package: BinaryPackage) -> frozenset[str]:
    """Returns the name of the package and those that it provides."""
    return frozenset((package.name, *(versions_provided(package.provides) if package.provides else ())))


@lru_cache(maxsize=100_000)
def _mentioned(depends: str, architecture: str) -> frozenset[str]:
    return frozenset(alternative.name for group in cached_groups(depends, architecture) for alternative in group)


def needed_names(package: BinaryPackage) -> frozenset[str]:
    return _mentioned(package.depends, package.architecture) if package.depends else frozenset()


def excluded_names(package: BinaryPackage) -> frozenset[str]:
    return _mentioned(package.conflicts, package.architecture) if package.conflicts else frozenset()


def meets(package: ListedPackage, alternative: Alternative) -> bool:
    """True when the package has or provides the name in a version that fits."""
    return alternative.name in offered_names(package.package) and alternative.is_met_by(package.artifact)


def exclude_each_other(one: ListedPackage, other: ListedPackage) -> bool:
    """True when one package conflicts with the other or breaks it (policy 7.3 and 7.4).

    A package does not conflict with itself, also by a name that it provides."""
    if one.package.name == other.package.name:
        return False
    return _conflicts(one, other) or _conflicts(other, one)


def _conflicts(one: ListedPackage, other: ListedPackage) -> bool:
    if not one.package.conflicts:
        return False
    groups = cached_groups(one.package.conflicts, one.package.architecture)
    return any(meets(other, alternative) for group in groups for alternative in group)
