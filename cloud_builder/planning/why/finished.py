"""Why a job finished as it did: built, not built because nothing is new, failed, or stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cloud_builder.model.outcome import Outcome
from cloud_builder.model.text import duration, first_few, first_line

from . import input_diff
from .cause import Cause, CauseKind, Detail
from .facts import AttemptFacts, FactSource, JobFacts
from .formatting import ago, comma_list, short

Why = Callable[[JobFacts], Cause]
_MAX_LINES = 6
_MAX_MESSAGE_LINES = 12

_FAILURES = (Outcome.FAILURE, Outcome.ERROR)
_KINDS = {
    "poison": CauseKind.POISON,
    "dependency-cycle": CauseKind.CYCLE,
    "broken-unit": CauseKind.BROKEN,
    "deadline": CauseKind.DEADLINE,
    "superseded": CauseKind.SUPERSEDED,
}
"""Codes that are more precise than the outcome."""
_OUTCOMES = {
    Outcome.FAILURE: CauseKind.FAILED,
    Outcome.ERROR: CauseKind.ERROR,
    Outcome.CANCELED: CauseKind.CANCELED,
    Outcome.SUPERSEDED: CauseKind.SUPERSEDED,
    Outcome.SKIPPED: CauseKind.DEPENDENCY_FAILED,
}


def why_finished(job: JobFacts, facts: FactSource, now: float, why: Why) -> Cause:
    """Returns the cause of a job's outcome. `why`: returns the cause of another job, for the end of a chain."""
    if job.outcome is Outcome.SUCCESS:
        return _built(job, facts, now)
    if job.is_good:
        return _not_built(job, facts, now)
    kind = _KINDS.get(job.code) or _OUTCOMES.get(job.outcome or Outcome.ERROR, CauseKind.ERROR)
    if kind is CauseKind.DEPENDENCY_FAILED:
        return _dependency_failed(job, facts, why)
    if job.outcome in _FAILURES:
        return _failed(job, kind, facts, now)
    return _stopped(job, kind, facts, now)


def _built(job: JobFacts, facts: FactSource, now: float) -> Cause:
    changed = input_diff.differences(job, facts)
    took = f" in {duration(job.finished_at - job.started_at)}" if job.started_at and job.finished_at else ""
    return Cause(
        kind=CauseKind.BUILT,
        answer=f"built{took}, because: {input_diff.summary(changed) or input_diff.UNKNOWN_CHANGE}",
        details=(*input_diff.last_success(job, facts, now), *_attempts(facts.attempts(job.job_id))),
        because=changed,
        next=f"cb-ctl get {job.job_id} downloads what it built.",
    )


def _not_built(job: JobFacts, facts: FactSource, now: float) -> Cause:
    """Returns the cause of a job that uses the output of an earlier one."""
    earlier = facts.job(job.reused_from) if job.reused_from else None
    if earlier is not None:
        origin = comma_list(f"{earlier.job_id} at {short(earlier.revision)}", ago(earlier.finished_at, now))
    else:
        origin = job.reused_from or "an earlier job"
    if job.outcome is Outcome.SKIPPED:
        kind, answer = CauseKind.UNCHANGED, f"not built, because its inputs are unchanged since {origin}"
    else:
        kind, answer = CauseKind.REUSED, f"not built again: the same inputs were built by {origin}"
    key = (Detail(label="input key", lines=(job.input_key,)),) if job.input_key else ()
    return Cause(kind=kind, answer=answer, details=key, next=f"cb-ctl why {job.reused_from}" if job.reused_from else "")


def _dependency_failed(job: JobFacts, facts: FactSource, why: Why) -> Cause:
    """Returns the cause of a job that was skipped because a dependency did not succeed."""
    needs = [need for need in map(facts.job, job.needs or job.waiting_for) if need is not None]
    failed = [need for need in needs if need.is_finished and not need.is_good]
    if not failed:
        answer = first_line(job.message) or "a dependency did not succeed"
        return Cause(
            kind=CauseKind.DEPENDENCY_FAILED, answer=f"not built: {answer}", next=f"cb-ctl why {job.request_id}"
        )
    chain = _chain(failed[0], facts)
    root = why(chain[-1])
    through = f" (through {first_few([link.unit for link in chain[:-1]], 3)})" if len(chain) > 1 else ""
    others = (Detail(label="also", lines=(first_few([need.unit for need in failed[1:]]),)),) if failed[1:] else ()
    lines = tuple(f"{link.unit} ({link.job_id}): {link.outcome}" for link in chain[:_MAX_LINES])
    return Cause(
        kind=CauseKind.DEPENDENCY_FAILED,
        answer=f"not built: it needs {chain[-1].name}{through}: {root.answer}",
        details=(Detail(label="chain", lines=lines), *others),
        next=root.next,
        root=root,
    )


def _chain(job: JobFacts, facts: FactSource) -> list[JobFacts]:
    """Returns the jobs from a skipped one down to the one that failed."""
    chain, seen = [job], {job.job_id}
    while chain[-1].outcome is Outcome.SKIPPED:
        needs = (facts.job(need) for need in chain[-1].needs)
        failed = [need for need in needs if need and need.is_finished and not need.is_good and need.job_id not in seen]
        if not failed:
            break
        chain.append(failed[0])
        seen.add(failed[0].job_id)
    return chain


def _failed(job: JobFacts, kind: CauseKind, facts: FactSource, now: float) -> Cause:
    """Returns the cause of a `failure` (of the recipe) or an `error` (of the infrastructure)."""
    step = f" in step {job.step}" if job.step else ""
    message = job.message.splitlines() or [f"no message was reported ({job.outcome})"]
    more = (Detail(label="more", lines=tuple(message[1:_MAX_MESSAGE_LINES])),) if len(message) > 1 else ()
    return Cause(
        kind=kind,
        answer=f"{job.outcome}{step}: {message[0]}",
        details=(*more, *_attempts(facts.attempts(job.job_id)), *_last_success(job, facts, now)),
        because=() if kind is CauseKind.BROKEN else input_diff.differences(job, facts),
        next=job.hint or _next_step(job),
    )


def _last_success(job: JobFacts, facts: FactSource, now: float) -> tuple[Detail, ...]:
    """Returns whether the unit was ever built, and whether its inputs were the same."""
    last = facts.last_success(job)
    if last is None:
        return (Detail(label="last good", lines=("never: no earlier build of this unit succeeded",)),)
    [detail] = input_diff.last_success(job, facts, now)
    if job.input_key is None:
        return (detail,)
    if job.input_key == last.input_key:
        return (Detail(label="last good", lines=(*detail.lines, "with the same inputs: it is not reproducible")),)
    return (Detail(label="last good", lines=(*detail.lines, "with other inputs (see because)")),)


def _stopped(job: JobFacts, kind: CauseKind, facts: FactSource, now: float) -> Cause:
    """Returns the cause of a job that was canceled or superseded."""
    request = facts.request(job.request_id)
    message = first_line(job.message) or str(job.outcome)
    when = ago(job.finished_at, now)
    outcome = f"request {job.request_id} finished: {request.outcome}" if request and request.outcome else ""
    details = (Detail(label="when", lines=(comma_list(when, outcome),)),) if when or outcome else ()
    hint = job.hint or ("" if kind is CauseKind.SUPERSEDED else f"To build it nevertheless: cb-ctl request {job.unit}")
    return Cause(kind=kind, answer=message, details=details, next=hint)


def _attempts(attempts: Sequence[AttemptFacts]) -> tuple[Detail, ...]:
    """Returns the attempts, if there was more than one."""
    if len(attempts) < 2:
        return ()
    return (Detail(label="attempts", lines=tuple(attempt.line for attempt in attempts[-_MAX_LINES:])),)


def _next_step(job: JobFacts) -> str:
    if job.outcome is Outcome.ERROR:
        return f"There is no further attempt. When the cause is fixed: cb-ctl request {job.unit}"
    return f"cb-ctl logs {job.job_id} shows the whole log."
