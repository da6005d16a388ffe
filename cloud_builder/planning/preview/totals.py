"""The figures of a plan: the work, the shortest possible duration, the levels, and jobs that no runner could take.

No schedule is computed. The longest chain and work ÷ slots are lower bounds of every schedule, and a good schedule
comes near them.
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

MAX_MEMBERS = 100
"""Members that are listed of a dependency cycle."""
MAX_CYCLES = 50
MAX_UNSCHEDULABLE = 10
"""Causes that are listed why no runner could take a job."""

_CERTAIN = frozenset({PlanVerdict.BUILD})
_POSSIBLE = frozenset({PlanVerdict.BUILD, PlanVerdict.MAYBE})


def planned_jobs(plan: Sequence[PreviewedJob]) -> list[PlannedJob]:
    """Returns the jobs of `plan.drawn`. `plan`: each job after its needs."""
    levels: dict[JobId, int] = {}
    numbers = {previewed.result.job_id: previewed.result.number for previewed in plan}
    jobs = []
    for previewed in plan:
        job = previewed.result
        levels[job.job_id] = level = max((levels[need] + 1 for need in job.needs), default=0)
        jobs.append(
            PlannedJob(
                number=job.number,
                source=job.source,
                unit=job.unit,
                target=job.target.name,
                verdict=previewed.verdict,
                why=previewed.why,
                needs=tuple(numbers[need] for need in job.needs),
                level=level,
                is_requested=job.is_requested,
                round=job.round,
                expected_seconds=round(previewed.seconds or 0.0, 1),
                job_id=previewed.from_job,
            )
        )
    return jobs


def plan_totals(plan: Sequence[PreviewedJob], runners: Sequence[RunnerRecord]) -> PlanTotals:
    """Returns the figures of a plan, see `PlanTotals`. `plan`: each job after its needs. `runners`: all live ones."""
    count = Counter(job.verdict for job in plan)
    requirements = list(dict.fromkeys(requirements_of(job.result) for job in plan if job.verdict in _POSSIBLE))
    takers = {needed: [runner for runner in runners if needed.takes(runner)] for needed in requirements}
    slots = sum(runner.slots for runner in runners if any(needed.takes(runner) for needed in requirements))
    slots_of = {needed: max(1, sum(runner.slots for runner in found)) for needed, found in takers.items()}
    work, most_work = (_work(plan, verdicts) for verdicts in (_CERTAIN, _POSSIBLE))
    path, most_path = (_longest_chain(plan, verdicts) for verdicts in (_CERTAIN, _POSSIBLE))
    bound, most_bound = (_busiest_pool(plan, verdicts, slots_of) for verdicts in (_CERTAIN, _POSSIBLE))
    unschedulable = [why_unschedulable(needed, runners) for needed, found in takers.items() if not found]
    return PlanTotals(
        jobs=len(plan),
        build=count[PlanVerdict.BUILD],
        maybe=count[PlanVerdict.MAYBE],
        reused=count[PlanVerdict.REUSED],
        unchanged=count[PlanVerdict.UNCHANGED],
        cannot=count[PlanVerdict.CANNOT],
        never_built=sum(job.verdict in _POSSIBLE and job.seconds is None for job in plan),
        work=round(work, 1),
        most_work=round(most_work, 1),
        critical_path=round(path, 1),
        most_critical_path=round(most_path, 1),
        slots=slots,
        makespan=round(max(path, work / max(1, slots), bound), 1),
        most_makespan=round(max(most_path, most_work / max(1, slots), most_bound), 1),
        cycles=tuple(_cycles([job.result for job in plan if job.result.round])),
        stuck=tuple(unschedulable[:MAX_UNSCHEDULABLE]),
    )


def _work(plan: Sequence[PreviewedJob], verdicts: Collection[PlanVerdict]) -> float:
    return sum(job.seconds or 0.0 for job in plan if job.verdict in verdicts)


def _busiest_pool(
    plan: Sequence[PreviewedJob], verdicts: Collection[PlanVerdict], slots: Mapping[RunnerRequirements, int]
) -> float:
    """Returns the seconds that the pool with the most work a slot needs."""
    work: dict[RunnerRequirements, float] = dict.fromkeys(slots, 0.0)
    for job in plan:
        if job.verdict in verdicts:
            work[requirements_of(job.result)] += job.seconds or 0.0
    return max((seconds / slots[requirements] for requirements, seconds in work.items()), default=0.0)


def _longest_chain(plan: Sequence[PreviewedJob], verdicts: Collection[PlanVerdict]) -> float:
    """Returns the seconds of the longest chain of jobs that wait for each other."""
    ends: dict[JobId, float] = {}
    for job in plan:
        start = max((ends[need] for need in job.result.needs), default=0.0)
        ends[job.result.job_id] = start + (job.seconds or 0.0 if job.verdict in verdicts else 0.0)
    return max(ends.values(), default=0.0)


def _cycles(members: Sequence[JobRecord]) -> Iterator[tuple[UnitPath, ...]]:
    """Yields the first members of each cycle.

    Units are in one cycle if a job of one of them needs a job of the other's round before (union-find)."""
    jobs = {job.job_id: job for job in members}
    parent: dict[UnitPath, UnitPath] = {job.unit: job.unit for job in members}
    for job in members:
        for need in job.needs:
            needed = jobs.get(need)
            if needed is not None and needed.round == job.round - 1:
                parent[_root(parent, job.unit)] = _root(parent, needed.unit)
    by_root: dict[UnitPath, set[UnitPath]] = {}
    for unit in parent:
        by_root.setdefault(_root(parent, unit), set()).add(unit)
    for cycle in sorted(map(sorted, by_root.values()))[:MAX_CYCLES]:
        yield tuple(cycle[:MAX_MEMBERS])


def _root(parent: Mapping[UnitPath, UnitPath], unit: UnitPath) -> UnitPath:
    while parent[unit] != unit:
        unit = parent[unit]
    return unit
