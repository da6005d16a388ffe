"""A job that is not handed out although it could start: not for its turn, but for what the scheduler told with it.

offered ─► it lies on a shared queue, and no runner has taken it yet
apart   ─► a runner may have died of it, and the one it would go to runs another that is suspected
doubt   ─► its runners died or fell silent; unless one speaks again, it is a failure
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from cloud_builder.model.events import Hold, HoldKind
from cloud_builder.model.text import duration, first_few

from .cause import Cause, CauseKind, Detail
from .facts import FactSource, JobFacts, RunnerFacts
from .formatting import within
from .queue_position import expected_end

GRACE = 3.0
"""Seconds after which a hold that is over, and was not told again, tells nothing any more."""
_SHOWN = 6


def why_held(job: JobFacts, known: FactSource, now: float) -> Cause | None:
    """None: nothing keeps it but its turn; or it is not known that anything does."""
    if job.hold is None or now > job.hold.until + GRACE:
        return None
    why = _WHYS.get(job.hold.kind)
    return why(job, job.hold, known, now) if why else None


def _offered(job: JobFacts, hold: Hold, known: FactSource, now: float) -> Cause:
    takers = [runner for runner in known.runners() if hold.queue in runner.queues and runner.usable(now)]
    free = sum(_free(runner, now) for runner in takers)
    slots = f"{free} free slot{'' if free == 1 else 's'} there" if takers else "no live runner takes offers there now"
    since = f"offered to the runners of pool {hold.queue} since {duration(now - hold.since)}"
    back = f"comes back into the queue in {duration(hold.until - now)} if nobody takes it"
    last = "this was the last one: " if hold.offers >= hold.max_offers else "if nobody takes them, "
    count = f"{hold.offers} of {hold.max_offers}; {last}then it goes to a runner directly"
    lines = [f"{one.runner_id}: {_free(one, now)} of {one.usable(now)} slots free" for one in takers[:_SHOWN]]
    lines += [f"and {len(takers) - _SHOWN} more"] if len(takers) > _SHOWN else []
    details = [Detail(label="offers", lines=(count,))]
    details += [Detail(label="runners", lines=tuple(lines))] if lines else []
    return Cause(
        kind=CauseKind.CLAIM, answer=f"{since}, {slots}; {back}", details=tuple(details), next=_left(takers, free)
    )


def offered(jobs: Sequence[JobFacts], now: float) -> list[JobFacts]:
    """Those of them that lie on a shared queue, each with a free slot kept for it."""
    held = [job for job in jobs if job.hold is not None and job.hold.kind == HoldKind.OFFERED]
    return [job for job in held if job.hold is not None and now <= job.hold.until + GRACE]


def behind_offers(offers: Sequence[JobFacts], details: tuple[Detail, ...]) -> Cause:
    names = first_few([f"{one.unit} ({one.job_id})" for one in offers], 3)
    answer = f"each free slot that could take it is kept for what is offered to the pool already: {names}"
    return Cause(kind=CauseKind.SLOT, answer=answer, details=details, next=f"cb-ctl why {offers[0].job_id}")


def _free(runner: RunnerFacts, now: float) -> int:
    return max(0, runner.usable(now) - len(runner.attempts))


def _left(takers: Sequence[RunnerFacts], free: int) -> str:
    """Why an offer may lie there, and what to look at."""
    if not takers:
        return "Start one: cb-runner, or cb-ctl up --runners 1."
    if free:
        names = first_few([one.runner_id for one in takers], 3)
        return f"A runner with a free slot takes it at once: see the log of {names} for why it does not; cb-ctl doctor."
    return "Nothing to do: whoever has a slot next takes it."


def _apart(job: JobFacts, hold: Hold, known: FactSource, now: float) -> Cause:
    others = [one for one in (known.job(name) for name in hold.suspects) if one is not None and not one.is_finished]
    who = first_few(list(dict.fromkeys(hold.lost_runners)), 3)
    suspected = f"{who} died or fell silent while building it"
    if not others:
        answer = f"{suspected}: what it must not run beside has ended, it is looked at again any moment"
        return Cause(kind=CauseKind.ISOLATED, answer=answer, expected_start=max(now, hold.until))
    names = first_few([f"{one.unit} ({one.job_id})" for one in others], 3)
    answer = (
        f"kept apart from {names} on {hold.runner_id}: {suspected}, or that one; "
        "side by side nobody could tell which of them did it"
    )
    end = min(expected_end(one, known, now) for one in others)
    starts = f"when that has ended, {within(end, now)}" if math.isfinite(end) else "when that has ended"
    return Cause(
        kind=CauseKind.ISOLATED,
        answer=answer,
        details=(Detail(label="starts", lines=(starts,)),),
        next="Nothing to do. The log of the runner that died, and its kernel's (dmesg), may tell more.",
        expected_start=end if math.isfinite(end) else 0.0,
    )


def _doubt(job: JobFacts, hold: Hold, known: FactSource, now: float) -> Cause:
    runners = list(dict.fromkeys(hold.lost_runners))
    lines = tuple(one.line for one in known.attempts(job.job_id)[-_SHOWN:])
    left = duration(hold.until - now)
    return Cause(
        kind=CauseKind.SILENT_RUNNER,
        answer=f"{first_few(runners, 3)} died or fell silent while building it: unless one that is only silent speaks "
        f"again within {left}, it counts as what took them down, and is a failure",
        details=(Detail(label="attempts", lines=lines),) if lines else (),
        next="If a runner was only cut off, bring it back. doc/concept/faults.md tells how deaths are counted.",
    )


_WHYS: dict[str, Callable[[JobFacts, Hold, FactSource, float], Cause]] = {
    HoldKind.OFFERED: _offered,
    HoldKind.ISOLATED: _apart,
    HoldKind.SUSPECTED_LOSS: _doubt,
}
