"""Why no runner can ever take a job, in one line that a person can act on.

Input: the job's requirements and the live runners. Output: what is lacking, by runner if there are few runners, else
beside the largest that there is.
"""

from __future__ import annotations

from collections.abc import Sequence

from cloud_builder.model.capacity import Capacity
from cloud_builder.model.nearest import nearest
from cloud_builder.model.text import size
from cloud_builder.planning.records import RunnerRecord

from .free_slots import RunnerRequirements

_MAX_RUNNERS_LISTED = 4


def why_unschedulable(requirements: RunnerRequirements, runners: Sequence[RunnerRecord]) -> str:
    """Returns what no runner has. `runners`: all live ones, none of which meets the requirements."""
    group = f" of group {requirements.group}" if requirements.group else ""
    same_arch = [runner for runner in runners if runner.arch == requirements.arch]
    pool = [runner for runner in same_arch if requirements.group in ("", runner.runner_group)]
    if pool:
        return _too_small(requirements.capacity or Capacity(), pool, group)
    no_runner = f"no live runner{group} for {requirements.arch}"
    groups = sorted({runner.runner_group for runner in same_arch if runner.runner_group})
    if requirements.group and same_arch:
        similar = nearest(requirements.group, groups)
        existing = f"there are: {', '.join(groups)}" if groups else "the live ones have no group"
        return f"{no_runner}; {f'did you mean {similar}? ' if similar else ''}{existing}"
    return f"{no_runner}; start one: cb-runner, or cb-ctl up --runners 1"


def _too_small(required: Capacity, pool: Sequence[RunnerRecord], group: str) -> str:
    """Returns each requirement that no runner meets; if every single one is met somewhere, what each runner lacks."""
    unmet = [part for part in _parts(required) if all(runner.capacity.lacks(part) for runner in pool)]
    if unmet:
        return "; ".join(f"needs {_text(part)}; {_largest(part, pool, group)}" for part in unmet)
    summary = f"needs {_text(required)}; none of {_count(pool, group)} has all of it"
    by_id = sorted(pool, key=lambda runner: runner.runner_id)
    lacks = [f"{runner.runner_id} lacks {_lacks(required, runner)}" for runner in by_id]
    return f"{summary}: {', '.join(lacks)}" if len(pool) <= _MAX_RUNNERS_LISTED else summary


def _parts(required: Capacity) -> list[Capacity]:
    """Returns the requirements one by one."""
    sizes = [Capacity(**{name: amount}) for name in ("memory", "disk", "cpu") if (amount := getattr(required, name))]
    return [*sizes, *([Capacity(kvm=True)] if required.kvm else []), *(Capacity(tags=(tag,)) for tag in required.tags)]


def _largest(part: Capacity, pool: Sequence[RunnerRecord], group: str) -> str:
    """Returns the most that a runner of the pool has of one requirement."""
    for name in ("memory", "disk", "cpu"):
        if getattr(part, name):
            most = max(getattr(runner.capacity, name) for runner in pool)
            amount = str(most) if name == "cpu" else size(most)
            if len(pool) == 1:
                return f"the only runner{group}, {pool[0].runner_id}, has {amount}"
            return f"the largest of {_count(pool, group)} has {amount}"
    if len(pool) == 1:
        return f"the only runner{group}, {pool[0].runner_id}, does not have it"
    return f"none of {_count(pool, group)} has it"


def _lacks(required: Capacity, runner: RunnerRecord) -> str:
    return " and ".join(_text(part) for part in _parts(required) if runner.capacity.lacks(part))


def _text(required: Capacity) -> str:
    sizes = [f"{name} {size(getattr(required, name))}" for name in ("memory", "disk") if getattr(required, name)]
    cpu = [f"{required.cpu} core{'s' if required.cpu > 1 else ''}"] if required.cpu else []
    return " and ".join([*sizes, *cpu, *(["kvm"] if required.kvm else []), *(f"tag {tag}" for tag in required.tags)])


def _count(pool: Sequence[RunnerRecord], group: str) -> str:
    return f"{len(pool)} runners{group}"
