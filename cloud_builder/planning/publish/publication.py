"""The builds that the next snapshot of each repository lists.

    published builds ┐
                     ├─ transition, for each architecture ─► builds to list, held builds, kept packages
    newest builds ───┘

The repositories of one suite are decided together, because a machine may install from all of them. A build that is held
for one architecture is held for all. A build that leaves in part is listed with the packages that stay.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from cloud_builder.model.artifact import Artifact
from cloud_builder.model.ids import RepositoryName
from cloud_builder.model.repository import HeldBuild, KeptPackage, ListedPackage, RepositoryEntry, UnitTarget

from .choice import choices
from .contents import RepositoryContents
from .package_set import PackageKey, PackageSet
from .transition import Transition, transition
from .transition_draft import BuildKey, Reason

MAX_NAMED_PACKAGES = 5
"""Packages of a held build that are named."""
_Indices = Mapping[str, Mapping[str, ListedPackage]]


@dataclass(frozen=True)
class RepositoryBuilds:
    """The builds of a repository.

    published  those that the live snapshot lists; a build that is listed in part has a key of its own
    newest     the newest build of each unit and target at the head of the source
    awaited    index, package → why it stays although no newest build makes it; None: it may leave
    """

    published: RepositoryContents
    newest: RepositoryContents
    awaited: Callable[[str, ListedPackage], Reason | None] = lambda arch, package: None


@dataclass(frozen=True)
class Publication:
    """The builds that a repository is to list: `contents`, as `RepositoryBuilds.published`."""

    contents: RepositoryContents
    held: tuple[HeldBuild, ...] = ()
    kept: tuple[KeptPackage, ...] = ()


class PublishedIndex:
    """The published packages of the repositories of a suite, by architecture; kept from one decision to the next."""

    def __init__(self) -> None:
        self._contents: dict[RepositoryName, RepositoryContents] = {}
        self.indices: dict[RepositoryName, _Indices] = {}
        self.sets: dict[str, PackageSet] = {}

    def update(self, name: RepositoryName, contents: RepositoryContents) -> None:
        """Brings the index up to date with the published builds of a repository."""
        if self._contents.get(name) == contents:
            return
        before, after = self.indices.get(name, {}), choices(contents.values())
        for arch in {*before, *after}:
            changes = dict(_differences(name, before.get(arch, {}), after.get(arch, {})))
            self.sets.setdefault(arch, PackageSet()).apply(changes)
        self._contents[name], self.indices[name] = contents, after


def plan_publications(
    repositories: Mapping[RepositoryName, RepositoryBuilds],
    index: PublishedIndex,
    *,
    was_made: Callable[[str], bool] = lambda name: False,
    is_behind: Callable[[BuildKey], bool] = lambda build: False,
    at_once: Collection[RepositoryName] = (),
) -> dict[RepositoryName, Publication]:
    """Returns what each repository of a suite is to list. See `transition` for the arguments."""
    for name, builds in repositories.items():
        index.update(name, builds.published)
    newest = {name: choices(builds.newest.values()) for name, builds in repositories.items()}
    requested = _changes(index.indices, newest)
    awaited = {arch: dict(_awaited(arch, changes, index, repositories, at_once)) for arch, changes in requested.items()}
    held: Mapping[BuildKey, Reason] = {}
    while True:
        decisions: dict[str, Transition] = {}
        before = len(held)
        for arch, changes in requested.items():
            decisions[arch] = transition(
                index.sets.get(arch, PackageSet()),
                changes,
                held=held,
                awaited=awaited[arch],
                was_made=was_made,
                is_behind=is_behind,
                at_once=at_once,
            )
            held = decisions[arch].held
        if len(held) == before:
            return {name: _publication(name, builds, index, decisions, held) for name, builds in repositories.items()}


def _changes(
    published: Mapping[RepositoryName, _Indices], newest: Mapping[RepositoryName, _Indices]
) -> dict[str, dict[PackageKey, ListedPackage | None]]:
    """Returns the changes by architecture after which each repository lists its newest builds."""
    requested: dict[str, dict[PackageKey, ListedPackage | None]] = {}
    for name, indices in newest.items():
        before = published.get(name, {})
        for arch in sorted({*before, *indices}):
            requested.setdefault(arch, {}).update(_differences(name, before.get(arch, {}), indices.get(arch, {})))
    return requested


def _differences(
    name: RepositoryName, before: Mapping[str, ListedPackage], after: Mapping[str, ListedPackage]
) -> Iterator[tuple[PackageKey, ListedPackage | None]]:
    for package, new in after.items():
        old = before.get(package)
        if old is None or _identity(old) != _identity(new):
            yield (name, package), new
    for package in before:
        if package not in after:
            yield (name, package), None


def _identity(package: ListedPackage) -> tuple[str, UnitTarget, tuple[str, ...]]:
    return package.artifact.sha256, package.unit_target, package.outside


def _awaited(
    arch: str,
    changes: Mapping[PackageKey, ListedPackage | None],
    index: PublishedIndex,
    repositories: Mapping[RepositoryName, RepositoryBuilds],
    at_once: Collection[RepositoryName],
) -> Iterator[tuple[PackageKey, Reason]]:
    for key, new in changes.items():
        if new is None and key[0] not in at_once:
            leaving = index.sets[arch].get(key)
            reason = repositories[key[0]].awaited(arch, leaving) if leaving is not None else None
            if reason is not None:
                yield key, reason


def _publication(
    name: RepositoryName,
    builds: RepositoryBuilds,
    index: PublishedIndex,
    decisions: Mapping[str, Transition],
    held: Mapping[BuildKey, Reason],
) -> Publication:
    contents: dict[UnitTarget, RepositoryEntry] = {}
    for key, entry in builds.newest.items():
        listed = builds.published.get(key) if (name, key) in held else entry
        if listed is not None:
            contents[key] = listed
    for key, entry in builds.published.items():
        current = contents.get(entry.unit_target)
        if current is None or current.packages != entry.packages:
            staying = tuple(
                artifact
                for artifact in entry.packages
                if _stays(name, artifact, index.indices.get(name, {}), decisions)
            )
            if staying:
                part = (entry.unit, f"{entry.target} {entry.job_id}") if key == entry.unit_target else key
                contents[part] = entry.model_copy(update={"packages": staying})
    return Publication(
        contents,
        tuple(_held(builds.newest[key], reason) for (own, key), reason in held.items() if own == name),
        tuple(_kept(name, index, decisions)),
    )


def _stays(name: RepositoryName, artifact: Artifact, indices: _Indices, decisions: Mapping[str, Transition]) -> bool:
    """True when an index lists this package now and afterwards."""
    package = artifact.package
    assert package is not None
    return any(
        (listed := index.get(package.name)) is not None
        and listed.artifact.sha256 == artifact.sha256
        and (name, package.name) not in decisions[arch].changes
        for arch, index in indices.items()
    )


def _held(entry: RepositoryEntry, reason: Reason) -> HeldBuild:
    packages = [artifact.package for artifact in entry.packages if artifact.package is not None]
    return HeldBuild(
        unit=entry.unit,
        target=entry.target,
        job_id=entry.job_id,
        packages=tuple(f"{package.name} {package.version}" for package in packages[:MAX_NAMED_PACKAGES]),
        reason=reason.text,
        waits_for=reason.unit,
    )


def _kept(name: RepositoryName, index: PublishedIndex, decisions: Mapping[str, Transition]) -> Iterator[KeptPackage]:
    seen: set[str] = set()
    for arch, decision in decisions.items():
        for (own, package), reason in decision.kept.items():
            listed = index.sets[arch].get((own, package))
            if own == name and package not in seen and listed is not None:
                seen.add(package)
                yield KeptPackage(
                    package=package,
                    version=listed.package.version,
                    unit=listed.unit,
                    reason=reason.text,
                    needed_by=reason.unit,
                )
