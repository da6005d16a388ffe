"""Why a job is not dispatched although it could start: the hold that the scheduler reported with it.

offered         it is offered on a shared queue, and no runner has claimed it yet
isolated        a runner may have been lost because of it, and another such job runs where it would go
suspected loss  its runners were lost or are silent; if none of them reports in time, the job fails
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from cloud_builder.model.events import Hold, HoldKind
from cloud_builder.model.text import duration, first_few, first_few_lines

from .cause import Cause, CauseKind, Detail
from .facts import FactSource, JobFacts, RunnerFacts
from .formatting import START_RUNNER, within
from .queue_position import expected_end

GRACE = 3.0
"""Seconds after its end in which a hold still counts: the event that replaces it may be late."""
_MAX_LINES = 6
_MAX_NAMES = 3


def why_held(job: JobFacts, facts: FactSource, now: float) -> Cause | None:
    """Returns None if no hold of the job is known, or none that this version knows: it only waits for its turn."""
    if job.hold is None or now > job.hold.until + GRACE:
        return None
    why = _WHYS.get(job.hold.kind)
    return why(job, job.hold, facts, now) if why else None


def _offered(job: JobFacts, hold: Hold, facts: FactSource, now: float) -> Cause:
    readers = [runner for runner in facts.runners() if hold.queue in runner.queues and runner.usable(now)]
    free = sum(_free(runner, now) for runner in readers)
    slots = f"{free} free slot{'' if free == 1 else 's'} there" if readers else "no live runner takes offers there now"
    since = f"offered to the runners of pool {hold.queue} for {duration(now - hold.since)}"
    until = f"returns to the queue in {duration(hold.until - now)} if no runner claims it"
    is_last = hold.offers >= hold.max_offers
    condition = "the last offer: if no runner claims it" if is_last else "if no runner claims any of them"
    count = f"{hold.offers} of {hold.max_offers}; {condition}, the job is assigned to a runner directly"
    lines = [f"{runner.runner_id}: {_free(runner, now)} of {runner.usable(now)} slots free" for runner in readers]
    details = [Detail(label="offers", lines=(count,))]
    details += [Detail(label="runners", lines=first_few_lines(lines, _MAX_LINES))] if lines else []
    return Cause(
        kind=CauseKind.CLAIM,
        answer=f"{since}, {slots}; {until}",
        details=tuple(details),
        next=_why_unclaimed(readers, free),
    )


def offered(jobs: Sequence[JobFacts], now: float) -> list[JobFacts]:
    """Returns the jobs that are offered on a shared queue; a free slot is reserved for each of them."""
    held = [job for job in jobs if job.hold is not None and job.hold.kind == HoldKind.OFFERED]
    return [job for job in held if job.hold is not None and now <= job.hold.until + GRACE]


def behind_offers(offers: Sequence[JobFacts], details: tuple[Detail, ...]) -> Cause:
    names = _names(offers)
    answer = f"waits for a slot: each free slot that could take it is reserved for a job on offer to the pool: {names}"
    return Cause(kind=CauseKind.SLOT, answer=answer, details=details, next=f"cb-ctl why {offers[0].job_id}")


def _free(runner: RunnerFacts, now: float) -> int:
    return max(0, runner.usable(now) - len(runner.attempts))


def _why_unclaimed(readers: Sequence[RunnerFacts], free: int) -> str:
    """Returns the next step for an offer that no runner has claimed yet."""
    if not readers:
        return START_RUNNER
    if free:
        names = first_few([runner.runner_id for runner in readers], _MAX_NAMES)
        return f"A runner with a free slot claims it at once: the log of {names} says why not. Also: cb-ctl doctor."
    return "Nothing to do: the next runner with a free slot claims it."


def _isolated(job: JobFacts, hold: Hold, facts: FactSource, now: float) -> Cause:
    suspects = [suspect for suspect in map(facts.job, hold.suspects) if suspect is not None and not suspect.is_finished]
    lost = first_few(list(dict.fromkeys(hold.lost_runners)), _MAX_NAMES)
    if not suspects:
        answer = (
            f"a runner was lost or silent during this job ({lost}), so it must not run beside another such job; "
            "that one has ended, and this one is dispatched any moment"
        )
        return Cause(kind=CauseKind.ISOLATED, answer=answer, expected_start=max(now, hold.until))
    answer = (
        f"waits until {_names(suspects)} on {hold.runner_id} has ended: a runner was lost or silent during this job "
        f"({lost}), and each of these jobs may be the cause; side by side, the next loss would not show which one is"
    )
    end = min(expected_end(suspect, facts, now) for suspect in suspects)
    starts = f"when that has ended, {within(end, now)}" if math.isfinite(end) else "when that has ended"
    return Cause(
        kind=CauseKind.ISOLATED,
        answer=answer,
        details=(Detail(label="starts", lines=(starts,)),),
        next="Nothing to do. The log of the lost runner, and its kernel's (dmesg), may show why it was lost.",
        expected_start=end if math.isfinite(end) else 0.0,
    )


def _suspected_loss(job: JobFacts, hold: Hold, facts: FactSource, now: float) -> Cause:
    lost = first_few(list(dict.fromkeys(hold.lost_runners)), _MAX_NAMES)
    lines = tuple(attempt.line for attempt in facts.attempts(job.job_id)[-_MAX_LINES:])
    return Cause(
        kind=CauseKind.SILENT_RUNNER,
        answer=f"waits for a report of {lost}, lost or silent during this job: if none arrives within "
        f"{duration(hold.until - now)}, the job counts as the cause, and fails",
        details=(Detail(label="attempts", lines=lines),) if lines else (),
        next="If a runner only lost its connection, restore it. How losses are counted: doc/concept/faults.md.",
    )


def _names(jobs: Sequence[JobFacts]) -> str:
    return first_few([f"{job.unit} ({job.job_id})" for job in jobs], _MAX_NAMES)


_WHYS: dict[str, Callable[[JobFacts, Hold, FactSource, float], Cause]] = {
    HoldKind.OFFERED: _offered,
    HoldKind.ISOLATED: _isolated,
    HoldKind.SUSPECTED_LOSS: _suspected_loss,
}
