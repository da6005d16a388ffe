"""Why a job has not started: what it waits for, and until when. The first that applies:

blocked by other jobs       the one that ends last, down to its own cause
a runner has it             starting
it is held                  offered, isolated, or its runner is silent (dispatch_hold.py)
its last attempt failed     the time of the next one
no runner can take it       none there, none large enough, all in quarantine (eligible_runners.py)
it is queued                a quota, busy slots, reserved slots, jobs that go first (queue_position.py)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from cloud_builder.model.capacity import Capacity
from cloud_builder.model.outcome import JobState
from cloud_builder.model.text import duration, first_few, first_few_lines, first_line
from cloud_builder.planning.schedule.match import RETRY_ELSEWHERE_WAIT

from . import eligible_runners
from .cause import Cause, CauseKind, Detail
from .critical_path import CriticalPath, waited_for
from .dispatch_hold import behind_offers, offered, why_held
from .facts import FactSource, JobFacts, RunnerFacts
from .formatting import CHECK_SCHEDULER, comma_list, within
from .queue_position import QueuePosition, expected_end, expected_seconds, queue_position, slots_of, start_of

Why = Callable[[JobFacts], Cause]
"""Returns the cause of another job, for the end of a chain."""

_MAX_LINES = 6
_RETRY = f"on a runner that has not had it; after {duration(RETRY_ELSEWHERE_WAIT)} on any runner"
START_OVERDUE_AFTER = 15.0
"""Seconds since its last event after which a job that could start, and does not, is a fault of the scheduler."""


def why_waiting(job: JobFacts, facts: FactSource, now: float, why: Why) -> Cause:
    if blockers := waited_for(job, facts):
        return _blocked(job, blockers, facts, now, why)
    runners = facts.runners()
    if job.not_before <= now and (runner := _runner_with(job, runners)):
        return _starting(job, runner, now)
    if held := why_held(job, facts, now):
        return held
    if job.not_before > now:
        return _backing_off(job, facts, now)
    if not (candidates := eligible_runners.eligible(job, runners, now)):
        return eligible_runners.no_runner(job, runners, now)
    untried = eligible_runners.untried(job, candidates, facts.attempts(job.job_id), now)
    return _queued(job, untried or candidates, facts, now, is_retry=bool(untried))


def _runner_with(job: JobFacts, runners: Sequence[RunnerFacts]) -> RunnerFacts | None:
    """Returns the live runner that has the job."""
    live = (runner for runner in runners if runner.state in ("online", "quarantined"))
    return next((runner for runner in live if any(attempt.job_id == job.job_id for attempt in runner.attempts)), None)


def _blocked(job: JobFacts, blockers: Sequence[JobFacts], facts: FactSource, now: float, why: Why) -> Cause:
    critical_path = CriticalPath(facts, now)
    last = critical_path.longest(blockers)
    assert last is not None
    chain = critical_path.chain(last)
    root = _mutual(chain) if waited_for(chain[-1], facts) else why(chain[-1])
    others = [blocker.unit for blocker in blockers if blocker.job_id != last.job_id]
    lines = [_state(link, facts, now) for link in chain]
    details = [Detail(label="chain", lines=first_few_lines(lines, _MAX_LINES, "down the chain"))]
    details += [Detail(label="also for", lines=(first_few(others),))] if others else []
    is_duplicate = last.request_id != job.request_id and len(job.waiting_for) == 1
    if is_duplicate:
        answer = f"waits for {last.job_id} of request {last.request_id}, which has the same inputs"
    else:
        answer = f"waits for {last.name}"
    through = f", and through it for {chain[-1].name}" if len(chain) > 1 else ""
    return Cause(
        kind=CauseKind.DUPLICATE if is_duplicate else CauseKind.DEPENDENCY,
        answer=f"{answer}{through}: {root.answer}",
        details=tuple(details),
        next=root.next,
        root=root,
    )


def _mutual(chain: Sequence[JobFacts]) -> Cause:
    """Returns the cause of jobs that wait for each other, as late events may show them."""
    answer = f"these jobs seem to wait for each other: {first_few([job.unit for job in chain], _MAX_LINES)}"
    hint = "Query again in a moment, because events may be late; if the answer stays: cb-ctl doctor."
    return Cause(kind=CauseKind.DEPENDENCY, answer=answer, next=hint)


def _state(job: JobFacts, facts: FactSource, now: float) -> str:
    state = job.state.value
    if job.state is JobState.RUNNING:
        end = expected_end(job, facts, now)
        ends = f"ends {within(end, now)}" if math.isfinite(end) else "never built before"
        state = comma_list(f"running on {job.runner_id} for {duration(now - job.started_at)}", ends)
    return f"{job.unit} ({job.job_id}): {state}"


def _backing_off(job: JobFacts, facts: FactSource, now: float) -> Cause:
    attempts = facts.attempts(job.job_id)
    ended = [attempt for attempt in attempts if attempt.outcome is not None and attempt.attempt <= job.attempt]
    error = first_line(job.reason) or (first_line(ended[-1].message) if ended else "an error")
    lines = tuple(attempt.line for attempt in ended[-_MAX_LINES:])
    return Cause(
        kind=CauseKind.BACK_OFF,
        answer=f"waits {duration(job.not_before - now)} until its next attempt, after an error: {error}",
        details=(Detail(label="attempts", lines=lines),) if lines else (),
        next="Nothing to do: the next attempt is on another runner, if there is one. "
        "cb-ctl logs shows what the last attempt printed.",
        expected_start=job.not_before,
    )


def _starting(job: JobFacts, runner: RunnerFacts, now: float) -> Cause:
    attempt = max(running.attempt for running in runner.attempts if running.job_id == job.job_id)
    answer = f"runner {runner.runner_id} has it (attempt {attempt}) and is about to start it"
    return Cause(kind=CauseKind.STARTING, answer=answer, expected_start=now)


def _queued(
    job: JobFacts, candidates: Sequence[RunnerFacts], facts: FactSource, now: float, *, is_retry: bool
) -> Cause:
    """Returns why a job that a runner could take has no slot yet."""
    running = [facts.job(attempt.job_id) for runner in candidates for attempt in runner.attempts]
    active = [active_job for active_job in running if active_job is not None]
    rivals = _rivals(job, candidates, active, facts, now)
    position = queue_position(job, rivals, active, facts, now)
    start = _expected_start(position, candidates, facts, now)
    retry = (Detail(label="retry", lines=(_RETRY,)),) if is_retry else ()
    details = (*_ahead(position), *retry, *_slots(candidates, facts, now), *_starts(start, position, now))
    if position.quota:
        return _no_quota(position, details)
    free = sum(max(0, runner.usable(now) - len(runner.attempts)) for runner in candidates)
    if free <= 0:
        return _no_slot(candidates, position, details, start, now)
    if free <= len(offers := offered(rivals, now)):
        return behind_offers(offers, details)
    if position.ahead:
        first, separator = position.ahead[0], ":" if len(position.ahead) == 1 else ", the next is"
        answer = f"{_count_ahead(position)} first{separator} {first.job.name} ({first.why})"
        return Cause(kind=CauseKind.BEHIND, answer=answer, details=details, expected_start=start)
    late = now - max(job.since, job.at, job.not_before)
    hint = CHECK_SCHEDULER if late > START_OVERDUE_AFTER else ""
    names = first_few([runner.runner_id for runner in candidates], 3)
    answer = f"a slot is free on {names}, and this job is next"
    return Cause(kind=CauseKind.NEXT, answer=answer, details=details, next=hint, expected_start=now)


def _rivals(
    job: JobFacts, candidates: Sequence[RunnerFacts], active: Sequence[JobFacts], facts: FactSource, now: float
) -> list[JobFacts]:
    """Returns the other jobs that could start now on one of these runners."""
    excluded = {job.job_id, *(active_job.job_id for active_job in active)}
    waiting = [other for other in facts.queued() if other.job_id not in excluded and other.not_before <= now]
    fits: dict[tuple[str, str, Capacity], bool] = {}
    rivals = []
    for other in waiting:
        required = (other.target.arch, other.target.runner_group, other.constraints)
        if required not in fits:
            fits[required] = bool(eligible_runners.eligible(other, candidates, now))
        if fits[required]:
            rivals.append(other)
    return rivals


def _expected_start(position: QueuePosition, candidates: Sequence[RunnerFacts], facts: FactSource, now: float) -> float:
    """Returns when the job may start; 0: not known, or not before a quota has room."""
    if position.quota:
        return 0.0
    before = [expected_seconds(ahead.job, facts) for ahead in position.ahead]
    return start_of(slots_of(candidates, facts, now), before, now)


def _no_quota(position: QueuePosition, details: tuple[Detail, ...]) -> Cause:
    slots = "its 1 slot is" if position.allowed == 1 else f"its {position.allowed} slots are"
    answer = f"the quota of {position.quota} is full: {slots} in use by other jobs"
    hint = "Wait until one of its jobs ends, or raise the quota (scheduler.quotas)."
    return Cause(kind=CauseKind.QUOTA, answer=answer, details=details, next=hint)


def _no_slot(
    candidates: Sequence[RunnerFacts], position: QueuePosition, details: tuple[Detail, ...], start: float, now: float
) -> Cause:
    slots = sum(runner.usable(now) for runner in candidates)
    all_slots = "the only slot that could take it is" if slots == 1 else f"all {slots} slots that could take it are"
    turn = f"; {_count_ahead(position)} first ({position.ahead[0].why})" if position.ahead else "; it is next"
    answer = comma_list(f"{all_slots} busy{turn}", f"expected to start {within(start, now)}" if start else "")
    return Cause(kind=CauseKind.SLOT, answer=answer, details=details, expected_start=start)


def _count_ahead(position: QueuePosition) -> str:
    """Returns `1 job goes`, `7 jobs go`, `2000 or more jobs go`."""
    if len(position.ahead) == 1:
        return "1 job goes"
    return f"{len(position.ahead)}{'' if position.is_whole else ' or more'} jobs go"


def _ahead(position: QueuePosition) -> tuple[Detail, ...]:
    if not position.ahead:
        return ()
    lines = [f"{ahead.job.unit} ({ahead.job.job_id}): {ahead.why}" for ahead in position.ahead]
    return (Detail(label="ahead", lines=first_few_lines(lines, _MAX_LINES)),)


def _slots(candidates: Sequence[RunnerFacts], facts: FactSource, now: float) -> tuple[Detail, ...]:
    lines = []
    for runner in candidates:
        for attempt in runner.attempts:
            job = facts.job(attempt.job_id)
            lines.append(f"{runner.runner_id}: {_state(job, facts, now) if job is not None else attempt.job_id}")
        lines += [f"{runner.runner_id}: free"] * max(0, runner.usable(now) - len(runner.attempts))
    return (Detail(label="slots", lines=first_few_lines(lines, _MAX_LINES, "slots")),)


def _starts(start: float, position: QueuePosition, now: float) -> tuple[Detail, ...]:
    text = within(start, now) if start else "not known: a job that has to end first was never built before"
    return () if position.quota else (Detail(label="starts", lines=(text,)),)
