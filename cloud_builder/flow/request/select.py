"""The names in a wish → units of a snapshot; or Rejected with the thing, the cause and the nearest valid name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cloud_builder.errors import Rejected
from cloud_builder.model.ids import UnitPath
from cloud_builder.model.nearest import did_you_mean, nearest
from cloud_builder.model.unit import Problem, Unit

from .discover import DiscoveredUnits

_MOST_SHOWN = 5


def select(snapshot: DiscoveredUnits, names: Sequence[str], targets: Sequence[str], *, where: str) -> tuple[Unit, ...]:
    """`names` empty: every healthy unit. `where`: source and commit, for messages."""
    if not names:
        return _all(snapshot, targets, where)
    placed = {place: unit for unit in snapshot.units for place in (unit.directory, unit.path)}
    found = [placed.get(_wanted(name)) or _unit(snapshot, name, where) for name in dict.fromkeys(names)]
    units = tuple({unit.path: unit for unit in found}.values())
    for target in targets:
        _check_target(units, target)
    for unit in units:
        if targets and not _has_any(unit, targets):
            known = [target.name for target in unit.targets]
            message = f"unit {unit.path}: has no target {' or '.join(targets)}"
            raise Rejected(message, code="unknown-target", hint=did_you_mean(targets[0], known))
    return units


def _all(snapshot: DiscoveredUnits, targets: Sequence[str], where: str) -> tuple[Unit, ...]:
    for target in targets:
        _check_target(snapshot.units, target)
    units = tuple(unit for unit in snapshot.units if not targets or _has_any(unit, targets))
    if not units:
        hint = "A unit is a directory with .cb/cloud_builder.yml; cb-ctl check says what is wrong with one."
        problems = "".join(f"\n{problem}" for problem in snapshot.problems[:3])
        raise Rejected(f"{where}: no unit can be built{problems}", code="no-units", hint=hint)
    return units


def _unit(snapshot: DiscoveredUnits, name: str, where: str) -> Unit:
    """One that is not meant by its path or directory: by its bare name when only one unit has it."""
    wanted = _wanted(name)
    broken = [problem for problem in snapshot.problems if wanted in (problem.path, f"projects/{problem.path}")]
    if not broken:
        named = [unit for unit in snapshot.units if unit.name == wanted]
        if len(named) == 1:
            return named[0]
        if named:
            paths = ", ".join(unit.path for unit in named)
            raise Rejected(f'{where}: more than one unit "{name}"', code="ambiguous-unit", hint=f"Say which: {paths}")
        broken = [problem for problem in snapshot.problems if problem.path.rpartition("/")[2] == wanted]
    if broken:
        message = "\n".join(str(problem.model_copy(update={"hint": ""})) for problem in broken[:_MOST_SHOWN])
        raise Rejected(message, code="broken-manifest", hint=_hints(broken))
    known = {*(unit.path for unit in snapshot.units), *(UnitPath(problem.path) for problem in snapshot.problems)}
    raise Rejected(f'{where}: no unit "{name}"', code="unknown-unit", hint=did_you_mean(wanted, known))


def _wanted(name: str) -> str:
    return name.strip("/").removeprefix("./") or "."


def _hints(problems: Sequence[Problem]) -> str:
    return " ".join(dict.fromkeys(problem.hint for problem in problems[:_MOST_SHOWN] if problem.hint))


def _check_target(units: Iterable[Unit], target: str) -> None:
    known = {one.name: unit for unit in units for one in unit.targets}
    if target not in known:
        near = nearest(target, known)
        whose = f"unit {known[near].path}" if near else "units"
        message = f'{whose}: no target "{target}"' if near else f'no unit has a target "{target}"'
        raise Rejected(message, code="unknown-target", hint=did_you_mean(target, known))


def _has_any(unit: Unit, targets: Sequence[str]) -> bool:
    return any(target.name in targets for target in unit.targets)
