"""A job that has ended: built, not built because nothing was new, failed, or stopped by somebody or something."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cloud_builder.model.outcome import Outcome
from cloud_builder.model.text import duration, first_few, first_line

from . import input_diff
from .cause import Cause, CauseKind, Detail
from .facts import AttemptFacts, FactSource, JobFacts
from .formatting import ago, comma_list, short

Why = Callable[[JobFacts], Cause]
_SHOWN = 6
_LINES = 12

_UNGOOD = (Outcome.FAILURE, Outcome.ERROR)
_KINDS = {
    "poison": CauseKind.POISON,
    "dependency-cycle": CauseKind.CYCLE,
    "deadline": CauseKind.DEADLINE,
    "superseded": CauseKind.SUPERSEDED,
}
"""Codes that say more than the outcome does."""
_OUTCOMES = {
    Outcome.FAILURE: CauseKind.FAILED,
    Outcome.ERROR: CauseKind.ERROR,
    Outcome.CANCELED: CauseKind.CANCELED,
    Outcome.SUPERSEDED: CauseKind.SUPERSEDED,
    Outcome.SKIPPED: CauseKind.DEPENDENCY_FAILED,
}


def why_ended(job: JobFacts, known: FactSource, now: float, why: Why) -> Cause:
    if job.outcome is Outcome.SUCCESS:
        return _built(job, known, now)
    if job.is_good:
        return _taken_over(job, known, now)
    kind = _KINDS.get(job.code) or _OUTCOMES.get(job.outcome or Outcome.ERROR, CauseKind.ERROR)
    if kind is CauseKind.DEPENDENCY_FAILED:
        return _not_tried(job, known, why)
    if job.outcome in _UNGOOD:
        return _failed(job, kind, known, now)
    return _stopped(job, kind, known, now)


def _built(job: JobFacts, known: FactSource, now: float) -> Cause:
    found = input_diff.differences(job, known)
    took = f" in {duration(job.finished_at - job.started_at)}" if job.started_at and job.finished_at else ""
    reason = input_diff.summary(found) or "what changed was not told"
    return Cause(
        kind=CauseKind.BUILT,
        answer=f"built{took}, because: {reason}",
        details=(*input_diff.last_success(job, known, now), *_attempts(known.attempts(job.job_id))),
        because=found,
        next=f"cb-ctl get {job.job_id} fetches what it built.",
    )


def _taken_over(job: JobFacts, known: FactSource, now: float) -> Cause:
    """Nothing was built: the output of an earlier job is used."""
    earlier = known.job(job.reused_from) if job.reused_from else None
    if earlier is not None:
        whose = comma_list(f"{earlier.job_id} at {short(earlier.revision)}", ago(earlier.finished_at, now))
    else:
        whose = job.reused_from or "an earlier job"
    if job.outcome is Outcome.SKIPPED:
        kind, answer = CauseKind.UNCHANGED, f"not touched: all that it is built from is what it was for {whose}"
    else:
        kind, answer = CauseKind.REUSED, f"not built again: the same inputs were built by {whose}"
    key = (Detail(label="input key", lines=(job.input_key,)),) if job.input_key else ()
    return Cause(kind=kind, answer=answer, details=key, next=f"cb-ctl why {job.reused_from}" if job.reused_from else "")


def _not_tried(job: JobFacts, known: FactSource, why: Why) -> Cause:
    """Skipped: something that it builds with did not succeed."""
    needs = [one for one in (known.job(need) for need in (job.needs or job.waiting_for)) if one is not None]
    bad = [one for one in needs if one.is_finished and not one.is_good]
    if not bad:
        answer = first_line(job.message) or "something that it builds with did not succeed"
        return Cause(
            kind=CauseKind.DEPENDENCY_FAILED, answer=f"not tried: {answer}", next=f"cb-ctl why {job.request_id}"
        )
    chain = _down(bad[0], known)
    root = why(chain[-1])
    through = f" (through {first_few([one.unit for one in chain[:-1]], 3)})" if len(chain) > 1 else ""
    others = (Detail(label="also", lines=(first_few([one.unit for one in bad[1:]]),)),) if len(bad) > 1 else ()
    lines = tuple(f"{one.unit} ({one.job_id}): {one.outcome}" for one in chain[:_SHOWN])
    return Cause(
        kind=CauseKind.DEPENDENCY_FAILED,
        answer=f"not tried: it builds with {chain[-1].name}{through}: {root.answer}",
        details=(Detail(label="chain", lines=lines), *others),
        next=root.next,
        root=root,
    )


def _down(job: JobFacts, known: FactSource) -> list[JobFacts]:
    """From a job that was not tried to the one that was, and failed."""
    found, seen = [job], {job.job_id}
    while found[-1].outcome is Outcome.SKIPPED:
        needs = (known.job(need) for need in found[-1].needs)
        bad = [one for one in needs if one and one.is_finished and not one.is_good and one.job_id not in seen]
        if not bad:
            break
        found.append(bad[0])
        seen.add(bad[0].job_id)
    return found


def _failed(job: JobFacts, kind: CauseKind, known: FactSource, now: float) -> Cause:
    """`failure`: the recipe said no. `error`: something around it is unwell."""
    step = f" in step {job.step}" if job.step else ""
    message = job.message.splitlines() or [f"no message was left ({job.outcome})"]
    more = (Detail(label="more", lines=tuple(message[1:_LINES])),) if len(message) > 1 else ()
    changed = input_diff.differences(job, known)
    return Cause(
        kind=kind,
        answer=f"{job.outcome}{step}: {message[0]}",
        details=(*more, *_attempts(known.attempts(job.job_id)), *_before(job, known, now)),
        because=changed,
        next=job.hint or _next(job),
    )


def _before(job: JobFacts, known: FactSource, now: float) -> tuple[Detail, ...]:
    """Whether it ever worked, and with what."""
    last = known.last_good(job)
    if last is None:
        return (Detail(label="last good", lines=("never: this unit was not built well before",)),)
    [told] = input_diff.last_success(job, known, now)
    if job.input_key is not None and job.input_key == last.input_key:
        return (Detail(label="last good", lines=(*told.lines, "with the very same inputs: it is not reproducible")),)
    return (Detail(label="last good", lines=(*told.lines, "with other inputs (see because)")),)


def _stopped(job: JobFacts, kind: CauseKind, known: FactSource, now: float) -> Cause:
    request = known.request(job.request_id)
    message = first_line(job.message) or str(job.outcome)
    when = ago(job.finished_at, now)
    whole = f"request {job.request_id} ended: {request.outcome}" if request and request.outcome else ""
    details = (Detail(label="when", lines=(comma_list(when, whole),)),) if when or whole else ()
    hint = job.hint or (
        "" if kind is CauseKind.SUPERSEDED else f"Ask again when it is wanted: cb-ctl request {job.unit}"
    )
    return Cause(kind=kind, answer=message, details=details, next=hint)


def _attempts(attempts: Sequence[AttemptFacts]) -> tuple[Detail, ...]:
    """Only where there was more than one."""
    if len(attempts) < 2:
        return ()
    return (Detail(label="attempts", lines=tuple(one.line for one in attempts[-_SHOWN:])),)


def _next(job: JobFacts) -> str:
    if job.outcome is Outcome.ERROR:
        return f"It is not tried again by itself: cb-ctl request {job.unit}, when the cause is gone."
    return f"cb-ctl logs {job.job_id} shows the whole log."
