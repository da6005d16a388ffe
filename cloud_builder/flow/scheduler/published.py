"""Which published packages provide a name: what other sources build with, where they ask for a virtual package.

Beside each offer (the newest published build of a package) stands, for each virtual package that it provides, a pointer
to it. What a newer build no longer provides loses its pointer.
"""

from __future__ import annotations

from cloud_builder.planning.records import PublishedPackage
from cloud_builder.planning.relations import versions_provided
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

PROVIDED = "provided"
"""Collection: `<target>/<virtual package>/<package>`, with what is before the last `/` as parent."""
_MOST = 200_000
"""Names kept in memory; most that are asked for are of the distribution, and nobody here provides them."""


class PublishedPackages:
    """In memory what the documents say, as far as it was asked for."""

    def __init__(self) -> None:
        self._providers: dict[str, tuple[str, ...]] = {}

    def providers(self, state: Documents, target: str, name: str) -> tuple[str, ...]:
        """Published packages for a target that provide the name, by name."""
        parent = f"{target}/{name}"
        if parent not in self._providers:
            if len(self._providers) > _MOST:
                self._providers.clear()
            found = state.find(PROVIDED, parent=parent)
            self._providers[parent] = tuple(sorted(str(body["package"]) for _, body in found))
        return self._providers[parent]

    def replace(
        self, work: UnitOfWork, target: str, before: PublishedPackage | None, after: PublishedPackage | None
    ) -> None:
        """Another build of a package is the newest published one now; or none."""
        old, new = _provided(before), _provided(after)
        for name, package in old - new:
            work.documents.delete(PROVIDED, f"{target}/{name}/{package}")
        for name, package in new:  # an offer of before there were pointers has none
            parent = f"{target}/{name}"
            if work.documents.get(PROVIDED, f"{parent}/{package}") is None:
                work.documents.put(PROVIDED, f"{parent}/{package}", {"package": package}, parent=parent)
        for name, _ in old | new:
            self._providers.pop(f"{target}/{name}", None)


def _provided(offer: PublishedPackage | None) -> set[tuple[str, str]]:
    """(virtual package, package)"""
    package = offer.artifact.package if offer is not None else None
    if package is None or not package.provides:
        return set()
    return {(name, package.name) for name in versions_provided(package.provides) if name != package.name}
