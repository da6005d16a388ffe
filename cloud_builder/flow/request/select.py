"""Selects the units that a request names from the discovered units of a commit.

Raises Rejected with the name that is wrong, the cause, and the nearest valid name.
"""

from __future__ import annotations

from collections.abc import Sequence

from cloud_builder.errors import Rejected
from cloud_builder.model.build_profiles import unknown_profiles
from cloud_builder.model.ids import UnitPath
from cloud_builder.model.nearest import did_you_mean, nearest
from cloud_builder.model.unit import UNKNOWN_TARGET, Unit, hints

from .discover import DiscoveredUnits

_MAX_SHOWN = 5


def select(
    discovered: DiscoveredUnits, names: Sequence[str], targets: Sequence[str], *, where: str
) -> tuple[Unit, ...]:
    """Returns the named units; with no names, all units. `where`: source and commit, for messages."""
    if not names:
        return _all(discovered, targets, where)
    by_path = {path: unit for unit in discovered.units for path in (unit.directory, unit.path)}
    found = [by_path.get(_normalize(name)) or _unit(discovered, name, where) for name in dict.fromkeys(names)]
    units = tuple({unit.path: unit for unit in found}.values())
    for target in targets:
        _check_target(units, target)
    for unit in units:
        if targets and not _has_any(unit, targets):
            available = [target.name for target in unit.targets]
            message = f"unit {unit.path}: has no target {' or '.join(targets)}"
            raise Rejected(message, code="unknown-target", hint=did_you_mean(targets[0], available))
    return units


def check_profiles(units: Sequence[Unit], profiles: Sequence[str]) -> None:
    """Raises Rejected for a build profile that nobody knows: a mistyped one would build without a word as before."""
    relations = ", ".join(unit.build_depends for unit in units if "<" in unit.build_depends)
    for profile, hint in unknown_profiles(profiles, relations):
        raise Rejected(f'unknown build profile "{profile}"', code="unknown-profile", hint=hint)


def _all(discovered: DiscoveredUnits, targets: Sequence[str], where: str) -> tuple[Unit, ...]:
    for target in targets:
        _check_target(discovered.units, target)
    units = tuple(unit for unit in discovered.units if not targets or _has_any(unit, targets))
    if not units:
        hint = "A unit is a directory with .cb/cloud_builder.yml; cb-ctl check says what is wrong with one."
        problems = "".join(f"\n{problem}" for problem in discovered.all_problems[:3])
        raise Rejected(f"{where}: no unit can be built{problems}", code="no-units", hint=hint)
    return units


def _unit(discovered: DiscoveredUnits, name: str, where: str) -> Unit:
    """Returns the unit with this bare name, for a name that is no path or directory; only one unit may have it."""
    path = _normalize(name)
    units = [unit for unit in discovered.units if unit.name == path]
    if len(units) == 1:
        return units[0]
    if units:
        hint = f"Name one of: {', '.join(unit.path for unit in units)}"
        raise Rejected(f'{where}: more than one unit "{name}"', code="ambiguous-unit", hint=hint)
    problems = [problem for problem in discovered.problems if path in (problem.path, f"projects/{problem.path}")]
    if problems:
        message = "\n".join(str(problem.model_copy(update={"hint": ""})) for problem in problems[:_MAX_SHOWN])
        raise Rejected(message, code="broken-unit", hint=hints(problems[:_MAX_SHOWN]))
    paths = {*(unit.path for unit in discovered.units), *(UnitPath(problem.path) for problem in discovered.problems)}
    raise Rejected(f'{where}: no unit "{name}"', code="unknown-unit", hint=did_you_mean(path, paths))


def _normalize(name: str) -> str:
    return name.strip("/").removeprefix("./") or "."


def _check_target(units: Sequence[Unit], target: str) -> None:
    """Raises Rejected when no unit has the target, unless no targets are known."""
    known = [(available, unit) for unit in units for available in unit.targets if available != UNKNOWN_TARGET]
    unit_by_target = {available.name: unit for available, unit in known}
    if target not in unit_by_target and (known or not units):
        near = nearest(target, unit_by_target)
        subject = f"unit {unit_by_target[near].path}" if near else "units"
        message = f'{subject}: no target "{target}"' if near else f'no unit has a target "{target}"'
        raise Rejected(message, code="unknown-target", hint=did_you_mean(target, unit_by_target))


def _has_any(unit: Unit, targets: Sequence[str]) -> bool:
    """Returns whether the unit has one of these targets. A unit whose targets are not known may have any."""
    return any(target.name in targets or target == UNKNOWN_TARGET for target in unit.targets)
