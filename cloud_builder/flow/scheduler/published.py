"""The newest published build of each binary package, and the virtual packages that it provides.

Jobs of other sources build with these packages. Two collections, cached in memory:

    published-packages   <target>/<package>                     its newest build; parent: the source
    package-providers    <target>/<virtual package>/<package>   a pointer; parent: <target>/<virtual package>

A virtual package that a newer build no longer provides loses its pointer.
"""

from __future__ import annotations

from collections.abc import Collection

from cloud_builder.model.frozen import CachedJson
from cloud_builder.model.ids import SourceName, UnitPath
from cloud_builder.planning.records import PublishedPackage
from cloud_builder.planning.relations import versions_provided
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

PUBLISHED = "published-packages"
PROVIDED = "package-providers"
MAX_CACHED = 200_000
"""Names kept in memory for each of the two collections; Debian has 64,000 packages. A full cache is emptied: most names
that jobs ask for belong to the distribution, and no source publishes them."""


class PublishedPackages:
    """A cache of the documents, filled on demand."""

    def __init__(self) -> None:
        self._newest: dict[str, PublishedPackage | None] = {}
        self._providers: dict[str, tuple[str, ...]] = {}

    def newest(self, documents: Documents, target: str, name: str) -> PublishedPackage | None:
        """Returns the newest published build of a binary package. Also caches that there is none: every job asks for
        the same few names of the distribution."""
        key = f"{target}/{name}"
        if key not in self._newest:
            body = documents.get(PUBLISHED, key)
            if len(self._newest) > MAX_CACHED:
                self._newest.clear()
            self._newest[key] = None if body is None else PublishedPackage.model_validate(body)
        return self._newest[key]

    def find(self, documents: Documents, target: str, name: str) -> list[PublishedPackage]:
        """Returns the package of that name, and the packages that provide it."""
        names = (name, *self._providers_of(documents, target, name))
        return [found for package in names if (found := self.newest(documents, target, package)) is not None]

    def save(self, work: UnitOfWork, target: str, published: PublishedPackage) -> None:
        package = published.artifact.package
        if package is not None:
            key = f"{target}/{package.name}"
            self._replace_pointers(work, target, self.newest(work.documents, target, package.name), published)
            work.documents.put(PUBLISHED, key, CachedJson(published), parent=published.source)
            self._newest[key] = published

    def remove_units(self, work: UnitOfWork, source: SourceName, units: Collection[UnitPath]) -> None:
        """Removes the packages of units that the followed branch no longer has: no job depends on them any more."""
        bodies = list(work.documents.find(PUBLISHED, parent=source)) if units else []
        for key, body in bodies:
            if body["unit"] in units:
                self._replace_pointers(work, key.rpartition("/")[0], PublishedPackage.model_validate(body), None)
                work.documents.delete(PUBLISHED, key)
                self._newest.pop(key, None)

    def _providers_of(self, documents: Documents, target: str, name: str) -> tuple[str, ...]:
        """Returns the published packages for a target that provide the name, sorted."""
        parent = f"{target}/{name}"
        if parent not in self._providers:
            if len(self._providers) > MAX_CACHED:
                self._providers.clear()
            found = documents.find(PROVIDED, parent=parent)
            self._providers[parent] = tuple(sorted(str(body["package"]) for _, body in found))
        return self._providers[parent]

    def _replace_pointers(
        self, work: UnitOfWork, target: str, before: PublishedPackage | None, after: PublishedPackage | None
    ) -> None:
        """Writes the pointers of a new newest build, and deletes those that only the build before it had."""
        old, new = _provided(before), _provided(after)
        for name, package in old - new:
            work.documents.delete(PROVIDED, f"{target}/{name}/{package}")
        for name, package in new - old:
            parent = f"{target}/{name}"
            work.documents.put(PROVIDED, f"{parent}/{package}", {"package": package}, parent=parent)
        for name, _ in old | new:
            self._providers.pop(f"{target}/{name}", None)


def _provided(published: PublishedPackage | None) -> set[tuple[str, str]]:
    """Returns pairs of a virtual package and the package that provides it."""
    package = published.artifact.package if published is not None else None
    if package is None or not package.provides:
        return set()
    return {(name, package.name) for name in versions_provided(package.provides) if name != package.name}
