"""Collects what the decision about the next snapshots needs (`planning/publish/publication.py`), and lets it decide.

Input: the managed repositories, the units at the head of each source.
Output: what each repository of a suite is to list. Must not: write or emit anything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from cloud_builder.model.ids import RepositoryName
from cloud_builder.model.repository import ListedPackage, UnitTarget
from cloud_builder.planning.publish.choice import ALL, INSTALLER, architecture
from cloud_builder.planning.publish.publication import (
    Publication,
    PublishedIndex,
    RepositoryBuilds,
    plan_publications,
)
from cloud_builder.planning.publish.transition_draft import BuildKey, Reason

from .inventory import SourceInventory
from .repositories import RepositoryStore


class PublicationPlanner:
    """`at_once`: repositories and sources whose builds are published also when they break relations."""

    def __init__(self, managed: RepositoryStore, inventory: SourceInventory, at_once: Collection[str]) -> None:
        self._managed, self._inventory, self._at_once = managed, inventory, at_once
        self._indices: dict[str, PublishedIndex] = {}

    def plan(
        self, names: Iterable[RepositoryName], unchanged: Collection[RepositoryName], *, caught_up: bool
    ) -> dict[RepositoryName, Publication]:
        """Returns what the repositories of a suite are to list. `unchanged`: those that cannot be published now.

        `caught_up` False: sources may not have been read to their ends, so nothing leaves for a missing unit."""
        repositories = {name: self._builds(name, name in unchanged, caught_up) for name in names}
        suite = self._managed.repositories[next(iter(repositories))].suite
        return plan_publications(
            repositories,
            self._indices.setdefault(suite, PublishedIndex()),
            was_made=lambda name: any(name in self._managed.made_names[one] for one in repositories),
            is_behind=self._is_behind,
            at_once=[name for name in repositories if self._is_at_once(name)],
        )

    def hidden(self, name: RepositoryName) -> set[UnitTarget]:
        """Returns the entries that are not at the head of the source; it may not have been read to its end."""
        source = self._managed.repositories[name].source
        return {key for key in self._managed.contents[name] if not self._inventory.has(source, key)}

    def versions_made(self, suite: str) -> Callable[[str], Collection[str]]:
        """Returns a lookup of the versions in which units have made or provided a package of the suite."""
        names = [name for name, repository in self._managed.repositories.items() if repository.suite == suite]
        return lambda package: {
            version for name in names for version in self._managed.made_names[name].get(package, ())
        }

    def _builds(self, name: RepositoryName, is_unchanged: bool, caught_up: bool) -> RepositoryBuilds:
        published = self._managed.published(name)
        if is_unchanged:
            return RepositoryBuilds(published, published)
        hidden = self.hidden(name)
        newest = {key: entry for key, entry in self._managed.contents[name].items() if key not in hidden}

        def awaited(arch: str, package: ListedPackage) -> Reason | None:
            if not caught_up and package.unit_target in hidden:
                return Reason("its source has not been read to its end")
            return self._awaited(name, arch, package)

        return RepositoryBuilds(published, newest, awaited)

    def _awaited(self, name: RepositoryName, arch: str, package: ListedPackage) -> Reason | None:
        """Returns why a package stays: a unit is to make it and has not been built since, or may be to make it."""
        repository = self._managed.repositories[name]
        for unit, target in self._inventory.makers(repository.source, package.package.name):
            fits = package.package.architecture == ALL or architecture(target.arch) == arch.removesuffix(INSTALLER)
            if fits and target.dist == repository.suite and self._is_behind((name, (unit, target.name))):
                return Reason(f"{unit} is to make it, and has not been built since", unit)
        if self._inventory.has(repository.source, package.unit_target):
            return None
        built = {unit for unit, _ in self._managed.contents[name]}
        for unit in sorted(self._inventory.unreadable_units(repository.source) - built):
            return Reason(f"{package.unit} is gone; {unit}, which cannot be read, may be to make it", unit)
        return None

    def _is_behind(self, build: BuildKey) -> bool:
        """True when the unit has changed since its newest build, or was never built."""
        name, (unit, target) = build
        tree = self._inventory.tree(self._managed.repositories[name].source, unit)
        entry = self._managed.contents[name].get((unit, target))
        return tree is not None and (entry is None or entry.tree != tree)

    def _is_at_once(self, name: RepositoryName) -> bool:
        return name in self._at_once or self._managed.repositories[name].source in self._at_once
