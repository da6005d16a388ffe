"""A job that has not begun: what it waits for, and for how long.

blocked by other jobs ─► the longest pole, down to its own cause
a runner has it       ─► starting
it is held back       ─► offered to a pool, or suspected of having killed a runner (held.py)
after an error        ─► back-off
nobody could take it  ─► no runner, none large enough, all set aside
all slots are taken   ─► with what, until when
others go first       ─► who, and by which rule; or a quota
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from cloud_builder.model.capacity import Capacity
from cloud_builder.model.outcome import JobState
from cloud_builder.model.text import duration, first_few, first_line
from cloud_builder.planning.schedule.match import RETRY_ELSEWHERE_WAIT

from . import eligible_runners
from .cause import Cause, CauseKind, Detail
from .critical_path import CriticalPath, waited_for
from .dispatch_hold import behind_offers, offered, why_held
from .facts import FactSource, JobFacts, RunnerFacts
from .formatting import comma_list, within
from .queue_position import QueuePosition, expected_end, expected_seconds, queue_position, slots_of, start_of

Why = Callable[[JobFacts], Cause]
"""The cause of another job, for the end of a chain."""

_SHOWN = 6
_RETRY = f"where it was not tried yet; after {duration(RETRY_ELSEWHERE_WAIT)} anywhere"
START_OVERDUE_AFTER = 15.0
"""Seconds since the last word on it after which a job that could start and does not is the scheduler's doing."""


def why_waiting(job: JobFacts, known: FactSource, now: float, why: Why) -> Cause:
    if blockers := waited_for(job, known):
        return _blocked(job, blockers, known, now, why)
    runners = known.runners()
    if job.not_before <= now and (holder := _holder(job, runners)):
        return _starting(job, holder, now)
    if held := why_held(job, known, now):
        return held
    if job.not_before > now:
        return _backing_off(job, known, now)
    if not (able := eligible_runners.eligible(job, runners, now)):
        return eligible_runners.no_runner(job, runners, now)
    elsewhere = eligible_runners.untried(job, able, known.attempts(job.job_id), now)
    return _in_line(job, elsewhere or able, known, now, is_retry=bool(elsewhere))


def _holder(job: JobFacts, runners: Sequence[RunnerFacts]) -> RunnerFacts | None:
    """A live runner that has it."""
    live = (one for one in runners if one.state in ("online", "quarantined"))
    return next((one for one in live if any(held.job_id == job.job_id for held in one.attempts)), None)


def _blocked(job: JobFacts, blockers: Sequence[JobFacts], known: FactSource, now: float, why: Why) -> Cause:
    poles = CriticalPath(known, now)
    pole = poles.longest(blockers)
    assert pole is not None
    chain = poles.chain(pole)
    root = _round(chain) if waited_for(chain[-1], known) else why(chain[-1])
    others = [one.unit for one in blockers if one.job_id != pole.job_id]
    lines = [_state(one, known, now) for one in chain[:_SHOWN]]
    lines += [f"… {len(chain) - _SHOWN} more down the chain"] if len(chain) > _SHOWN else []
    details = [Detail(label="chain", lines=tuple(lines))]
    details += [Detail(label="also for", lines=(first_few(others),))] if others else []
    is_twin = pole.request_id != job.request_id and len(job.waiting_for) == 1
    if is_twin:
        answer = f"the same inputs are being built already: {pole.job_id} of request {pole.request_id}"
    else:
        answer = f"waits for {pole.name}"
    deeper = f", and that, at the end, for {chain[-1].name}" if len(chain) > 1 else ""
    return Cause(
        kind=CauseKind.DUPLICATE if is_twin else CauseKind.DEPENDENCY,
        answer=f"{answer}{deeper}: {root.answer}",
        details=tuple(details),
        next=root.next,
        root=root,
    )


def _round(chain: Sequence[JobFacts]) -> Cause:
    """Events that came late may show jobs that wait for each other."""
    answer = f"they seem to wait for each other: {first_few([one.unit for one in chain], _SHOWN)}"
    return Cause(kind=CauseKind.DEPENDENCY, answer=answer, next="Ask again in a moment; if it stays so: cb-ctl doctor.")


def _state(job: JobFacts, known: FactSource, now: float) -> str:
    state = job.state.value
    if job.state is JobState.RUNNING:
        end = expected_end(job, known, now)
        soon = f"ends {within(end, now)}" if math.isfinite(end) else "never built before"
        state = comma_list(f"running on {job.runner_id} for {duration(now - job.started_at)}", soon)
    return f"{job.unit} ({job.job_id}): {state}"


def _backing_off(job: JobFacts, known: FactSource, now: float) -> Cause:
    tries = known.attempts(job.job_id)
    ended = [one for one in tries if one.outcome is not None and one.attempt <= job.attempt]
    error = first_line(job.reason) or (first_line(ended[-1].message) if ended else "an error")
    lines = tuple(one.line for one in ended[-_SHOWN:])
    return Cause(
        kind=CauseKind.BACK_OFF,
        answer=f"tried again in {duration(job.not_before - now)}, after an error: {error}",
        details=(Detail(label="attempts", lines=lines),) if lines else (),
        next="Nothing to do: it is tried elsewhere, if it can be. cb-ctl logs shows what the attempt printed.",
        expected_start=job.not_before,
    )


def _starting(job: JobFacts, runner: RunnerFacts, now: float) -> Cause:
    attempt = max(held.attempt for held in runner.attempts if held.job_id == job.job_id)
    answer = f"runner {runner.runner_id} has it (attempt {attempt}) and is about to begin"
    return Cause(kind=CauseKind.STARTING, answer=answer, expected_start=now)


def _in_line(job: JobFacts, able: Sequence[RunnerFacts], known: FactSource, now: float, *, is_retry: bool) -> Cause:
    busy = [known.job(held.job_id) for runner in able for held in runner.attempts]
    held = [one for one in busy if one is not None]
    rivals = _rivals(job, able, held, known, now)
    line = queue_position(job, rivals, held, known, now)
    ends = slots_of(able, known, now)
    free = sum(max(0, runner.usable(now) - len(runner.attempts)) for runner in able)
    start = start_of(ends, [expected_seconds(one.job, known) for one in line.ahead], now) if not line.quota else 0.0
    retry = (Detail(label="retry", lines=(_RETRY,)),) if is_retry else ()
    details = (*_line_told(line), *retry, *_slots_told(able, known, now), *_start_told(start, line, now))
    if line.quota:
        answer = f"{line.quota} may hold {line.allowed} slots at a time, and holds them all"
        hint = "Wait for its other jobs, or raise the quota (settings of the scheduler)."
        return Cause(kind=CauseKind.QUOTA, answer=answer, details=details, next=hint)
    if free <= 0:
        return _no_slot(able, line, details, start, now)
    if free <= len(offers := offered(rivals, now)):
        return behind_offers(offers, details)
    if line.ahead:
        first = line.ahead[0]
        answer = f"{_jobs(line)} before it, next {first.job.name} ({first.why})"
        return Cause(kind=CauseKind.BEHIND, answer=answer, details=details, expected_start=start)
    late = now - max(job.since, job.at, job.not_before)
    hint = "Is cb-scheduler running? cb-ctl doctor." if late > START_OVERDUE_AFTER else ""
    answer = f"a slot is free on {first_few([one.runner_id for one in able], 3)}: it is handed out next"
    return Cause(kind=CauseKind.NEXT, answer=answer, details=details, next=hint, expected_start=now)


def _rivals(
    job: JobFacts, able: Sequence[RunnerFacts], held: Sequence[JobFacts], known: FactSource, now: float
) -> list[JobFacts]:
    """Other jobs that could start now on one of these runners."""
    taken = {job.job_id, *(one.job_id for one in held)}
    waiting = [one for one in known.queued() if one.job_id not in taken and one.not_before <= now]
    fits: dict[tuple[str, str, Capacity], bool] = {}
    rivals = []
    for one in waiting:
        asked = (one.target.arch, one.target.runner_group, one.constraints)
        if asked not in fits:
            fits[asked] = bool(eligible_runners.eligible(one, able, now))
        if fits[asked]:
            rivals.append(one)
    return rivals


def _no_slot(
    able: Sequence[RunnerFacts], line: QueuePosition, details: tuple[Detail, ...], start: float, now: float
) -> Cause:
    slots = sum(runner.usable(now) for runner in able)
    count = (
        "the only slot that could take it is busy" if slots == 1 else f"all {slots} slots that could take it are busy"
    )
    behind = f"; {_jobs(line)} before it ({line.ahead[0].why})" if line.ahead else "; it is next"
    answer = comma_list(f"{count}{behind}", f"expected to start {within(start, now)}" if start else "")
    return Cause(kind=CauseKind.SLOT, answer=answer, details=details, expected_start=start)


def _jobs(line: QueuePosition) -> str:
    count = f"{len(line.ahead)}{'' if line.is_whole else ' or more'}"
    return f"{count} job{'' if len(line.ahead) == 1 else 's'} go{'es' if len(line.ahead) == 1 else ''}"


def _line_told(line: QueuePosition) -> tuple[Detail, ...]:
    if not line.ahead:
        return ()
    lines = [f"{one.job.unit} ({one.job.job_id}): {one.why}" for one in line.ahead[:_SHOWN]]
    lines += [f"and {len(line.ahead) - _SHOWN} more"] if len(line.ahead) > _SHOWN else []
    return (Detail(label="ahead", lines=tuple(lines)),)


def _slots_told(able: Sequence[RunnerFacts], known: FactSource, now: float) -> tuple[Detail, ...]:
    lines = []
    for runner in able:
        for held in runner.attempts:
            job = known.job(held.job_id)
            told = _state(job, known, now) if job is not None else held.job_id
            lines.append(f"{runner.runner_id}: {told}")
        lines += [f"{runner.runner_id}: free"] * max(0, runner.usable(now) - len(runner.attempts))
    more = [f"and {len(lines) - _SHOWN} more slots"] if len(lines) > _SHOWN else []
    return (Detail(label="slots", lines=(*lines[:_SHOWN], *more)),)


def _start_told(start: float, line: QueuePosition, now: float) -> tuple[Detail, ...]:
    told = within(start, now) if start else "cannot be told: not all that goes before it was built before"
    return () if line.quota else (Detail(label="starts", lines=(told,)),)
