"""Why no runner can ever take a job, in one line a person can act on.

In come what the job asks and the runners that live; out goes what is lacking: by runner if they are few, else the
nearest to what is asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from cloud_builder.model.capacity import Capacity
from cloud_builder.model.nearest import nearest
from cloud_builder.model.text import size
from cloud_builder.planning.records import RunnerRecord

from .free_slots import RunnerRequirements

_FEW = 4


def lacking(pool: RunnerRequirements, runners: Sequence[RunnerRecord]) -> str:
    """`runners`: all that live, none of which the pool takes."""
    group = f" of group {pool.group}" if pool.group else ""
    machines = [runner for runner in runners if runner.arch == pool.arch]
    members = [runner for runner in machines if pool.group in ("", runner.runner_group)]
    if members:
        return _too_small(pool.asks or Capacity(), members, group)
    told = f"no live runner{group} for {pool.arch}"
    groups = sorted({runner.runner_group for runner in machines if runner.runner_group})
    if pool.group and machines:
        meant = nearest(pool.group, groups)
        there = f"there are: {', '.join(groups)}" if groups else "the live ones have no group"
        return f"{told}; {f'did you mean {meant}? ' if meant else ''}{there}"
    return f"{told}; start one: cb-runner, or cb-ctl up --runners 1"


def _too_small(asks: Capacity, members: Sequence[RunnerRecord], group: str) -> str:
    """Each part that none has; or, when each is somewhere but not all in one place, what each runner lacks."""
    parts = [part for part in _parts(asks) if all(runner.capacity.lacks(part) for runner in members)]
    if parts:
        return "; ".join(f"needs {_spelled(part)}; {_best(part, members, group)}" for part in parts)
    told = f"needs {_spelled(asks)}; none of {_count(members, group)} has all of it"
    lacks = [f"{one.runner_id} lacks {_lacks(asks, one)}" for one in sorted(members, key=lambda one: one.runner_id)]
    return f"{told}: {', '.join(lacks)}" if len(members) <= _FEW else told


def _parts(asks: Capacity) -> list[Capacity]:
    """What is asked, one thing at a time."""
    sizes = [Capacity(**{name: amount}) for name in ("memory", "disk", "cpu") if (amount := getattr(asks, name))]
    return [*sizes, *([Capacity(kvm=True)] if asks.kvm else []), *(Capacity(tags=(tag,)) for tag in asks.tags)]


def _best(part: Capacity, members: Sequence[RunnerRecord], group: str) -> str:
    for name in ("memory", "disk", "cpu"):
        if getattr(part, name):
            most = max(getattr(runner.capacity, name) for runner in members)
            amount = str(most) if name == "cpu" else size(most)
            if len(members) == 1:
                return f"the only runner{group}, {members[0].runner_id}, has {amount}"
            return f"the largest of {_count(members, group)} has {amount}"
    if len(members) == 1:
        return f"the only runner{group}, {members[0].runner_id}, has it not"
    return f"none of {_count(members, group)} has it"


def _lacks(asks: Capacity, runner: RunnerRecord) -> str:
    return " and ".join(_spelled(part) for part in _parts(asks) if runner.capacity.lacks(part))


def _spelled(asks: Capacity) -> str:
    sizes = [f"{name} {size(getattr(asks, name))}" for name in ("memory", "disk") if getattr(asks, name)]
    cpu = [f"{asks.cpu} core{'s' if asks.cpu > 1 else ''}"] if asks.cpu else []
    return " and ".join([*sizes, *cpu, *(["kvm"] if asks.kvm else []), *(f"tag {tag}" for tag in asks.tags)])


def _count(members: Sequence[RunnerRecord], group: str) -> str:
    return f"{len(members)} runners{group}"
