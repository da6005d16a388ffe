"""The figures of a plan: how much work, how long at best, in which order, and what would keep it waiting for ever.

No schedule is made: the longest chain and work ÷ slots are bounds that no schedule beats, and a good one comes near.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from cloud_builder.model.events import PlannedJob, PlanTotals, PlanVerdict
from cloud_builder.model.ids import JobId, UnitPath
from cloud_builder.planning.records import JobRecord, RunnerRecord
from cloud_builder.planning.schedule.free_slots import RunnerRequirements, requirements_of
from cloud_builder.planning.schedule.unschedulable import why_unschedulable

from .model import PreviewedJob

MOST_MEMBERS = 100
"""Named of one dependency cycle."""
MOST_CYCLES = 50
MOST_STUCK = 10

_SURE = frozenset({PlanVerdict.BUILD})
_MOST = frozenset({PlanVerdict.BUILD, PlanVerdict.MAYBE})


def planned_jobs(plan: Sequence[PreviewedJob]) -> list[PlannedJob]:
    """`plan`: each job after those it needs."""
    order: dict[JobId, int] = {}
    numbers = {each.result.job_id: each.result.number for each in plan}
    found = []
    for each in plan:
        job = each.result
        order[job.job_id] = at = max((order[need] + 1 for need in job.needs), default=0)
        found.append(
            PlannedJob(
                number=job.number,
                source=job.source,
                unit=job.unit,
                target=job.target.name,
                verdict=each.verdict,
                why=each.why,
                needs=tuple(numbers[need] for need in job.needs),
                level=at,
                is_requested=job.is_requested,
                round=job.round,
                expected_seconds=round(each.seconds or 0.0, 1),
                job_id=each.from_job,
            )
        )
    return found


def plan_totals(plan: Sequence[PreviewedJob], runners: Sequence[RunnerRecord]) -> PlanTotals:
    count = Counter(each.verdict for each in plan)
    pools = list(dict.fromkeys(requirements_of(each.result) for each in plan if each.verdict in _MOST))
    slots = sum(one.slots for one in runners if any(pool.takes(one) for pool in pools))
    room = {pool: max(1, sum(one.slots for one in runners if pool.takes(one))) for pool in pools}
    work, most_work = (sum(each.seconds or 0.0 for each in plan if each.verdict in some) for some in (_SURE, _MOST))
    path, most_path = (_longest(plan, some) for some in (_SURE, _MOST))
    stuck = [why_unschedulable(pool, runners) for pool in pools if not any(pool.takes(one) for one in runners)]
    return PlanTotals(
        jobs=len(plan),
        build=count[PlanVerdict.BUILD],
        maybe=count[PlanVerdict.MAYBE],
        reused=count[PlanVerdict.REUSED],
        unchanged=count[PlanVerdict.UNCHANGED],
        cannot=count[PlanVerdict.CANNOT],
        never_built=sum(each.verdict in _MOST and each.seconds is None for each in plan),
        work=round(work, 1),
        most_work=round(most_work, 1),
        critical_path=round(path, 1),
        most_critical_path=round(most_path, 1),
        slots=slots,
        makespan=round(max(path, work / max(1, slots), _fullest(plan, _SURE, room)), 1),
        most_makespan=round(max(most_path, most_work / max(1, slots), _fullest(plan, _MOST, room)), 1),
        cycles=tuple(_cycles([each.result for each in plan if each.result.round])),
        stuck=tuple(stuck[:MOST_STUCK]),
    )


def _fullest(
    plan: Sequence[PreviewedJob], counted: Collection[PlanVerdict], room: Mapping[RunnerRequirements, int]
) -> float:
    """Seconds that the runners need which have most to do for their slots."""
    work: dict[RunnerRequirements, float] = dict.fromkeys(room, 0.0)
    for each in plan:
        if each.verdict in counted:
            work[requirements_of(each.result)] += each.seconds or 0.0
    return max((seconds / room[pool] for pool, seconds in work.items()), default=0.0)


def _longest(plan: Sequence[PreviewedJob], counted: Collection[PlanVerdict]) -> float:
    """Seconds of the longest chain of jobs that wait for each other."""
    ends: dict[JobId, float] = {}
    for each in plan:
        begins = max((ends[need] for need in each.result.needs), default=0.0)
        ends[each.result.job_id] = begins + (each.seconds or 0.0 if each.verdict in counted else 0.0)
    return max(ends.values(), default=0.0)


def _cycles(members: Sequence[JobRecord]) -> Iterator[tuple[UnitPath, ...]]:
    """Those that need each other from round to round are in one cycle; the first ones of each."""
    jobs = {job.job_id: job for job in members}
    root: dict[UnitPath, UnitPath] = {job.unit: job.unit for job in members}
    for job in members:
        for need in job.needs:
            other = jobs.get(need)
            if other is not None and other.round == job.round - 1:
                root[_top(root, job.unit)] = _top(root, other.unit)
    found: dict[UnitPath, set[UnitPath]] = {}
    for unit in root:
        found.setdefault(_top(root, unit), set()).add(unit)
    for cycle in sorted(map(sorted, found.values()))[:MOST_CYCLES]:
        yield tuple(cycle[:MOST_MEMBERS])


def _top(root: Mapping[UnitPath, UnitPath], unit: UnitPath) -> UnitPath:
    while root[unit] != unit:
        unit = root[unit]
    return unit
