"""A decision about changes of the published packages while it is made (see `transition.py` for the rule).

It begins with all changes. Each relation that is not met withdraws one change, until all are met.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from cloud_builder.model.ids import RepositoryName, UnitPath
from cloud_builder.model.repository import ListedPackage, UnitTarget
from cloud_builder.planning.relations import Alternative, Alternatives

from .package_set import (
    ChangedSet,
    Changes,
    PackageKey,
    PackageSet,
    exclude_each_other,
    excluded_names,
    meets,
    offered_names,
    relations,
)

BuildKey = tuple[RepositoryName, UnitTarget]
"""The builds of a unit and target, whose packages are in the repository."""


@dataclass(frozen=True)
class Reason:
    """Why a build is held or a package is kept. `unit`: whose next build may end that."""

    text: str
    unit: UnitPath | None = None


@dataclass(frozen=True)
class TransitionRules:
    """Facts about units, and the repositories without these rules (see `transition`)."""

    was_made: Callable[[str], bool]
    is_behind: Callable[[BuildKey], bool]
    at_once: Collection[RepositoryName]


class TransitionDraft:
    """A decision while it is made. `held`: units that are held from the beginning."""

    def __init__(
        self, published: PackageSet, requested: Changes, held: Mapping[BuildKey, Reason], rules: TransitionRules
    ) -> None:
        self._before, self._rules = published, rules
        self._all = ChangedSet(published, requested)
        self._unit_of = {key: unit for key, unit in _units(published, requested) if unit is not None}
        self._keys_of: dict[BuildKey, list[PackageKey]] = {}
        for key, unit in self._unit_of.items():
            self._keys_of.setdefault(unit, []).append(key)
        self.held: dict[BuildKey, Reason] = dict(held)
        self.kept: dict[PackageKey, Reason] = {}
        withdrawn = {key for unit in held for key in self._keys_of.get(unit, ())}
        self.after = self._all.without(withdrawn)
        self._todo: dict[PackageKey, None] = {}

    def resolve(self) -> None:
        """Withdraws changes until each relation that must be met is met, and no exclusion is left that must not be."""
        for key in list(self.after.changes):
            self._examine(key)
        excluding = [key for key, new in self.after.changes.items() if new is not None and new.package.conflicts]
        while self._todo:
            while self._todo:
                key = next(iter(self._todo))
                del self._todo[key]
                self._resolve(key)
            for key in excluding:
                self._resolve_exclusions(key)

    def _examine(self, key: PackageKey) -> None:
        """Adds the packages whose relations a change, or its withdrawal, may break."""
        self._todo[key] = None
        for package in (self._before.get(key), self._all.get(key)):
            for name in sorted(offered_names(package.package)) if package is not None else ():
                self._todo.update(dict.fromkeys(sorted(self.after.needing(name))))

    def _resolve(self, key: PackageKey) -> None:
        package = self.after.get(key)
        if package is None or (key in self.after.changes and key[0] in self._rules.at_once):
            return
        for group in relations(package.package):
            is_met = self._meeting(self.after, group, package) is not None
            if not is_met and self._must_be_met(group, key, package) and self._withdraw_for(group, key, package):
                self._todo[key] = None  # Examined again: the withdrawal may have been of this package.
                return

    def _must_be_met(self, group: Alternatives, key: PackageKey, package: ListedPackage) -> bool:
        if any(alternative.name in package.outside for alternative in group):
            return False
        if self._meeting(self._before, group, package) is not None:
            return True
        if key not in self.after.changes:
            return False  # It was not met before, either.
        return self._meeting(self._all, group, package) is not None or all(map(self._is_ours, group))

    def _is_ours(self, alternative: Alternative) -> bool:
        """True when only units make the name, so that the distribution does not meet the relation.

        The distribution may have a package of a name that units only provide."""
        offering = {key for packages in (self._before, self._all) for key in packages.offering(alternative.name)}
        is_real = any(name == alternative.name for _, name in offering)
        return is_real or (not offering and self._rules.was_made(alternative.name))

    def _meeting(
        self, packages: PackageSet | ChangedSet, group: Alternatives, needing: ListedPackage
    ) -> ListedPackage | None:
        """Returns a package that meets the relation, and can be installed beside the one that has the relation."""
        for alternative in group:
            for key in packages.offering(alternative.name):
                package = packages.get(key)
                if package is not None and meets(package, alternative) and not exclude_each_other(package, needing):
                    return package
        return None

    def _withdraw_for(self, group: Alternatives, key: PackageKey, package: ListedPackage) -> bool:
        """Withdraws a change because of a relation that is not met: best the removal of a package that meets it, else
        the replacement of one, else the package with the relation. Returns False when there is none to withdraw."""
        found = sorted(self._withdrawable(group, package), key=lambda other: self.after.changes[other] is not None)
        if found and self.after.changes[found[0]] is None:
            self._keep(found[0], Reason(f"{package} of {package.unit} needs it", package.unit))
        elif key in self.after.changes and (self._meeting(self._all, group, package) or not found):
            self._hold(self._unit_of[key], self._unmet(group, package))
        elif found:
            text = f"{package} of {package.unit}, which is published, needs {_text(group)}"
            self._hold(self._unit_of[found[0]], Reason(text, package.unit))
        else:
            return False
        return True

    def _withdrawable(self, group: Alternatives, package: ListedPackage) -> Iterator[PackageKey]:
        """Yields the changed packages whose published version meets the relation."""
        for alternative in group:
            for key in sorted(self._before.offering(alternative.name)):
                before = self._before.get(key)
                if key not in self.after.changes or key[0] in self._rules.at_once or before is None:
                    continue
                if meets(before, alternative) and not exclude_each_other(before, package):
                    yield key

    def _resolve_exclusions(self, key: PackageKey) -> None:
        """Holds a new package that excludes a published one of which a newer build is to come, or is held."""
        package, before = self.after.changes.get(key), self._before.get(key)
        if package is None or before is None or key[0] in self._rules.at_once:
            return
        for name in excluded_names(package.package):
            for other_key in self.after.offering(name):
                other = self.after.get(other_key)
                if other is None or other_key == key or not exclude_each_other(package, other):
                    continue
                if other != self._before.get(other_key) or exclude_each_other(before, other):
                    continue
                newer = self._all.get(other_key)
                other_unit = (other_key[0], other.unit_target)
                is_released = newer is not None and newer != other and not exclude_each_other(package, newer)
                if is_released or self._rules.is_behind(other_unit):
                    text = f"{package} excludes {other} of {other.unit}, whose newer build is not published yet"
                    self._hold(self._unit_of[key], Reason(text, other.unit))
                    return

    def _unmet(self, group: Alternatives, package: ListedPackage) -> Reason:
        held = self._meeting(self._all, group, package)
        if held is not None:
            return Reason(f"{package} needs {_text(group)}, and {held} of {held.unit} is held", held.unit)
        made = {key for alternative in group for key in self._all.offering(alternative.name)}
        others = [str(other) for key in sorted(made) if (other := self._all.get(key)) is not None]
        instead = f"made is {', '.join(others)}" if others else "no unit makes it any longer"
        return Reason(f"{package} needs {_text(group)}; {instead}", package.unit)

    def _keep(self, key: PackageKey, reason: Reason) -> None:
        self.kept[key] = reason
        self.after.withdraw(key)
        self._todo[key] = None

    def _hold(self, unit: BuildKey, reason: Reason) -> None:
        """Withdraws all changes of a unit, the removal of its published packages, too."""
        self.held.setdefault(unit, reason)
        withdrawn = [key for key in self._keys_of[unit] if key in self.after.changes]
        for key in withdrawn:
            self._examine(key)
            self.after.withdraw(key)


def _units(published: PackageSet, requested: Changes) -> Iterable[tuple[PackageKey, BuildKey | None]]:
    """Yields the unit of each change: that of the new package, or that of the package that leaves if the unit is still
    one that makes changed packages."""
    making = {(key[0], package.unit_target) for key, package in requested.items() if package is not None}
    for key, package in requested.items():
        if package is not None:
            yield key, (key[0], package.unit_target)
        else:
            before = published.get(key)
            unit = (key[0], before.unit_target) if before is not None else None
            yield key, unit if unit in making else None


def _text(group: Alternatives) -> str:
    return " | ".join(f"{name} ({operator} {version})" if operator else name for name, operator, version in group)
