"""The runners that could take a job, and in words what the others lack."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_builder.model.capacity import Capacity
from cloud_builder.model.text import duration, first_few, size
from cloud_builder.planning.schedule.match import RETRY_ELSEWHERE_WAIT

from .cause import Cause, CauseKind, Detail
from .facts import AttemptFacts, JobFacts, RunnerFacts
from .formatting import ago

_SHOWN = 6


def matching(job: JobFacts, runners: Sequence[RunnerFacts]) -> list[RunnerFacts]:
    """Runners of the job's architecture and group with all that it asks for, whether they live or not."""
    return [runner for runner in _of_pool(job, runners) if not runner.capacity.lacks(job.constraints)]


def eligible(job: JobFacts, runners: Sequence[RunnerFacts], now: float) -> list[RunnerFacts]:
    """Those of them that are given work."""
    return [runner for runner in matching(job, runners) if runner.usable(now)]


def untried(
    job: JobFacts, able: Sequence[RunnerFacts], attempts: Sequence[AttemptFacts], now: float
) -> list[RunnerFacts]:
    """Those that have not had the job, while it waits for one of them (planning/schedule/match.py).

    None: it may go anywhere."""
    tried = {attempt.runner_id for attempt in attempts}
    fresh = [runner for runner in able if runner.runner_id not in tried]
    waits = len(fresh) < len(able) and now - job.not_before <= RETRY_ELSEWHERE_WAIT
    return fresh if waits else []


def no_runner(job: JobFacts, runners: Sequence[RunnerFacts], now: float) -> Cause:
    """Why no runner can take it: none of its pool, none that is large enough, all set aside, all gone."""
    pool, fit = _of_pool(job, runners), matching(job, runners)
    if aside := [runner for runner in fit if runner.state == "quarantined"]:
        lines = tuple(f"{one.runner_id} for {duration(one.until - now)}: {one.reason}" for one in aside[:_SHOWN])
        answer = f"every runner that could take it is set aside: {lines[0]}"
        return _cause(
            CauseKind.QUARANTINED_RUNNER, answer, "runners", lines, "See what is wrong with them: cb-ctl list runners."
        )
    if fit:
        lines = tuple(_gone(runner, now) for runner in fit[:_SHOWN])
        answer = f"no live runner{_group(job)} for {job.target.arch}: {lines[0]}"
        return _cause(CauseKind.NO_RUNNER, answer, "runners", lines, _START)
    if pool:
        lines = tuple(f"{runner.runner_id} {_short(runner.capacity, job.constraints)}" for runner in pool[:_SHOWN])
        answer = f"no runner{_group(job)} for {job.target.arch} has {asked(job.constraints)}"
        hint = "Start a runner that has it, or ask for less in the unit's manifest (constraints)."
        return _cause(CauseKind.CONSTRAINT, answer, "runners", lines, hint)
    known = sorted({f"{runner.arch}{' ' + runner.runner_group if runner.runner_group else ''}" for runner in runners})
    answer = f"no live runner{_group(job)} for {job.target.arch}"
    lines = (f"there are runners for: {first_few(known)}",) if known else ("none was ever seen",)
    return _cause(CauseKind.NO_RUNNER, answer, "runners", lines, _START)


_START = "Start one: cb-runner, or cb-ctl up --runners 1."


def asked(constraints: Capacity) -> str:
    """`memory 64 GiB, kvm, tag big`."""
    sizes = [f"{name} {size(getattr(constraints, name))}" for name in ("memory", "disk") if getattr(constraints, name)]
    cpu = [f"{constraints.cpu} cores"] if constraints.cpu else []
    kvm = ["kvm"] if constraints.kvm else []
    return ", ".join([*sizes, *cpu, *kvm, *(f"tag {tag}" for tag in constraints.tags)]) or "what it asks for"


def _of_pool(job: JobFacts, runners: Sequence[RunnerFacts]) -> list[RunnerFacts]:
    group = job.target.runner_group
    return [runner for runner in runners if runner.arch == job.target.arch and group in ("", runner.runner_group)]


def _short(has: Capacity, wants: Capacity) -> str:
    """What one runner lacks: `has memory 8 GiB, no kvm`."""
    sizes = [
        f"has {name} {size(getattr(has, name))}"
        for name in ("memory", "disk")
        if getattr(wants, name) > getattr(has, name)
    ]
    cpu = [f"has {has.cpu} cores"] if wants.cpu > has.cpu else []
    kvm = ["has no kvm"] if wants.kvm and not has.kvm else []
    return ", ".join([*sizes, *cpu, *kvm, *(f"has no tag {tag}" for tag in wants.tags if tag not in has.tags)])


def _gone(runner: RunnerFacts, now: float) -> str:
    why = f" ({runner.reason})" if runner.reason else ""
    return f"{runner.runner_id} is {runner.state}{why}, last seen {ago(runner.at, now)}"


def _group(job: JobFacts) -> str:
    return f" of group {job.target.runner_group}" if job.target.runner_group else ""


def _cause(kind: CauseKind, answer: str, label: str, lines: tuple[str, ...], next: str) -> Cause:
    return Cause(kind=kind, answer=answer, details=(Detail(label=label, lines=lines),), next=next)
