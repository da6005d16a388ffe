"""The runners that could take a job, and what the others lack."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_builder.model.capacity import Capacity
from cloud_builder.model.text import duration, first_few, size
from cloud_builder.planning.schedule.match import RETRY_ELSEWHERE_WAIT

from .cause import Cause, CauseKind, Detail
from .facts import AttemptFacts, JobFacts, RunnerFacts
from .formatting import START_RUNNER, ago

_MAX_LINES = 6


def matching(job: JobFacts, runners: Sequence[RunnerFacts]) -> list[RunnerFacts]:
    """Returns the runners that meet all requirements of a job, live or not."""
    return [runner for runner in _pool(job, runners) if not runner.capacity.lacks(job.constraints)]


def eligible(job: JobFacts, runners: Sequence[RunnerFacts], now: float) -> list[RunnerFacts]:
    """Returns the matching runners that are given work now."""
    return [runner for runner in matching(job, runners) if runner.usable(now)]


def untried(
    job: JobFacts, candidates: Sequence[RunnerFacts], attempts: Sequence[AttemptFacts], now: float
) -> list[RunnerFacts]:
    """Returns the runners that have not had the job, while it waits for one of them (planning/schedule/match.py).

    Empty: the job may go to any candidate."""
    tried = {attempt.runner_id for attempt in attempts}
    others = [runner for runner in candidates if runner.runner_id not in tried]
    waits = len(others) < len(candidates) and now - job.not_before <= RETRY_ELSEWHERE_WAIT
    return others if waits else []


def no_runner(job: JobFacts, runners: Sequence[RunnerFacts], now: float) -> Cause:
    """Returns why no runner can take a job: all in quarantine, none live, none large enough, or none of its pool."""
    pool, fit = _pool(job, runners), matching(job, runners)
    if quarantined := [runner for runner in fit if runner.state == "quarantined"]:
        lines = tuple(
            f"{runner.runner_id} for another {duration(runner.until - now)}: {runner.reason}"
            for runner in quarantined[:_MAX_LINES]
        )
        answer = f"every runner that could take it is in quarantine: {lines[0]}"
        hint = "Fix what the reason names; cb-ctl list runners shows the runners."
        return _cause(CauseKind.QUARANTINED_RUNNER, answer, lines, hint)
    if fit:
        lines = tuple(_last_state(runner, now) for runner in fit[:_MAX_LINES])
        answer = f"no live runner{_group(job)} for {job.target.arch}: {lines[0]}"
        return _cause(CauseKind.NO_RUNNER, answer, lines, START_RUNNER)
    if pool:
        lines = tuple(f"{runner.runner_id} {_lacks(runner.capacity, job.constraints)}" for runner in pool[:_MAX_LINES])
        answer = f"no runner{_group(job)} for {job.target.arch} has {requirements(job.constraints)}"
        hint = "Start a runner that has it, or require less in the unit's manifest (constraints)."
        return _cause(CauseKind.CONSTRAINT, answer, lines, hint)
    kinds = sorted({f"{runner.arch} {runner.runner_group}".rstrip() for runner in runners})
    answer = f"no live runner{_group(job)} for {job.target.arch}"
    lines = (f"there are runners for: {first_few(kinds)}",) if kinds else ("there was no runner yet",)
    return _cause(CauseKind.NO_RUNNER, answer, lines, START_RUNNER)


def requirements(constraints: Capacity) -> str:
    """Returns `memory 64 GiB, kvm, tag big`."""
    sizes = [f"{name} {size(getattr(constraints, name))}" for name in ("memory", "disk") if getattr(constraints, name)]
    cpu = [f"{constraints.cpu} cores"] if constraints.cpu else []
    kvm = ["kvm"] if constraints.kvm else []
    return ", ".join([*sizes, *cpu, *kvm, *(f"tag {tag}" for tag in constraints.tags)]) or "what it requires"


def _pool(job: JobFacts, runners: Sequence[RunnerFacts]) -> list[RunnerFacts]:
    group = job.target.runner_group
    return [runner for runner in runners if runner.arch == job.target.arch and group in ("", runner.runner_group)]


def _lacks(available: Capacity, required: Capacity) -> str:
    """Returns what one runner lacks: `has memory 8 GiB, has no kvm`."""
    sizes = [
        f"has {name} {size(getattr(available, name))}"
        for name in ("memory", "disk")
        if getattr(required, name) > getattr(available, name)
    ]
    cpu = [f"has {available.cpu} cores"] if required.cpu > available.cpu else []
    kvm = ["has no kvm"] if required.kvm and not available.kvm else []
    tags = [f"has no tag {tag}" for tag in required.tags if tag not in available.tags]
    return ", ".join([*sizes, *cpu, *kvm, *tags])


def _last_state(runner: RunnerFacts, now: float) -> str:
    why = f" ({runner.reason})" if runner.reason else ""
    return f"{runner.runner_id} is {runner.state}{why}, last seen {ago(runner.at, now)}"


def _group(job: JobFacts) -> str:
    return f" of group {job.target.runner_group}" if job.target.runner_group else ""


def _cause(kind: CauseKind, answer: str, lines: tuple[str, ...], next: str) -> Cause:
    return Cause(kind=kind, answer=answer, details=(Detail(label="runners", lines=lines),), next=next)
