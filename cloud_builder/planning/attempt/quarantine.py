"""Runners set aside: whose jobs end in `error` again and again gets no work until one job succeeds there.

In come the reports of a runner; out goes how far it is trusted, and how much of it may be used now. An error counts
once an incident: those of jobs that were handed out before the last counted one tell nothing new (a full disk ends all
slots at once). What is not the runner's fault (told to stop, broker away) does not count.

    trusted ──3 errors in a row──► set aside until a pause is over ──► gets one job, the canary
       ▲                                      ▲  the pause doubles          │
       └──────────────success─────────────────┴──────────error─────────────┘

The last way for a job to finish stays open: where every runner that could take a job is set aside, no pause is longer
than a minute, because then it is rarely the runners.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from cloud_builder.model.events import AttemptFinished
from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import RunnerId
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.text import first_line
from cloud_builder.planning.records import JobRecord, RunnerRecord

from .transitions import LOST_BROKER, RUNNER_STOPPED

FIRST_QUARANTINE = 30.0
MAX_QUARANTINE = 900.0
SOLE_CANDIDATE_QUARANTINE = 60.0
"""Seconds, of a runner beside which there is no trusted one."""
UNREACHABLE = "source-unreachable"
_NOT_ITS_FAULT = (RUNNER_STOPPED, LOST_BROKER)


class RunnerHealth(LenientModel):
    """How a runner stands that is not beyond doubt. No record: trusted.

    `errors`: jobs that ended in error in a row, one an incident (of a source that cannot be reached, the source: all
    its jobs end so). `pause` 0: still trusted; else it is set aside, gets
    nothing before `until`, and one job at a time after it. `reason`: what went wrong last."""

    runner_id: RunnerId
    errors: tuple[str, ...] = ()
    last_error: float = 0.0
    pause: float = 0.0
    until: float = 0.0
    reason: str = ""
    at: float = 0.0
    """When it was set aside, the last time."""

    @property
    def is_quarantined(self) -> bool:
        return self.pause > 0


class AttemptEnd(NamedTuple):
    """How the current attempt of a job ended."""

    outcome: Outcome
    code: str
    reason: str


def after(trust: RunnerHealth | None, job: JobRecord, end: AttemptEnd, now: float, limit: int) -> RunnerHealth | None:
    """How a runner stands after an attempt ended there; None: trusted. `job`: as it was before.

    `limit`: so many errors in a row set it aside."""
    assert job.runner_id is not None
    if end.outcome is Outcome.SUCCESS:
        return None
    if end.outcome is Outcome.FAILURE:
        # A recipe that said no shows that its runner came that far, and nothing about what comes after.
        return trust if trust is not None and trust.is_quarantined else None
    if end.outcome is not Outcome.ERROR or end.code in _NOT_ITS_FAULT:
        return trust
    about = f"source {job.source}" if end.code == UNREACHABLE else job.job_id
    if trust is not None and job.assigned_at < trust.last_error <= now:
        return trust
    if trust is not None and about in trust.errors and not trust.is_quarantined:
        return trust
    return _after_error(trust or RunnerHealth(runner_id=job.runner_id), about, end.reason, now, limit)


def is_cleared_by(trust: RunnerHealth, report: AttemptFinished) -> bool:
    """An attempt that counts no more (its job was superseded, canceled, or given to another runner meanwhile) says
    nothing about the job; that it went well after the last error says all about its runner."""
    return report.outcome is Outcome.SUCCESS and report.started_at > trust.last_error


def _after_error(trust: RunnerHealth, about: str, reason: str, now: float, limit: int) -> RunnerHealth:
    errors = (*trust.errors, about)[-limit:]
    trust = trust.model_copy(update={"errors": errors, "last_error": now})
    if len(errors) < limit and not trust.is_quarantined:
        return trust
    pause = min(MAX_QUARANTINE, trust.pause * 2) or FIRST_QUARANTINE
    told = f"its last {len(errors)} jobs ended in error: {_line(reason)}"
    return trust.model_copy(update={"pause": pause, "until": now + pause, "reason": told, "at": now})


def returned(trust: RunnerHealth, now: float) -> RunnerHealth:
    """It was told to stop, so somebody looked after it: when it is back it may try at once."""
    return trust.model_copy(update={"until": min(trust.until, now)})


def slot_limits(
    runners: Collection[RunnerRecord], trusts: Mapping[RunnerId, RunnerHealth], now: float
) -> dict[RunnerId, int]:
    """How many slots may be used of those that are set aside: none, or one, for the job that shows what they can do."""
    aside = _set_aside(runners, trusts)
    last = sole_candidates(runners, trusts) if aside else set()
    return {
        runner.runner_id: int(now >= probe_at(trusts[runner.runner_id], now, is_last_way=runner.runner_id in last))
        for runner in aside
    }


def probe_at(trust: RunnerHealth, now: float, *, is_last_way: bool) -> float:
    """When a runner that is set aside gets a canary. A time that no pause reaches was written down while the clock was
    ahead."""
    pause = min(trust.pause, SOLE_CANDIDATE_QUARANTINE) if is_last_way else trust.pause
    until = min(trust.until, trust.at + pause)
    return until if until <= now + MAX_QUARANTINE else now


def sole_candidates(runners: Collection[RunnerRecord], trusts: Mapping[RunnerId, RunnerHealth]) -> set[RunnerId]:
    """Runners that are set aside and beside which no trusted one has their architecture and group."""
    aside = _set_aside(runners, trusts)
    names = {runner.runner_id for runner in aside}
    ways = {(runner.arch, runner.runner_group) for runner in aside}
    open_ways = {
        (arch, group)
        for arch, group in ways
        if any(  # mostly one of the first
            one.arch == arch and group in ("", one.runner_group) and one.runner_id not in names for one in runners
        )
    }
    return {runner.runner_id for runner in aside if (runner.arch, runner.runner_group) not in open_ways}


def _set_aside(runners: Collection[RunnerRecord], trusts: Mapping[RunnerId, RunnerHealth]) -> list[RunnerRecord]:
    names = {runner_id for runner_id, trust in trusts.items() if trust.is_quarantined}
    return [runner for runner in runners if runner.runner_id in names]


def why_quarantined(takers: Collection[RunnerRecord], trusts: Mapping[RunnerId, RunnerHealth]) -> str:
    """Why a job waits although there are runners for it: all are set aside. Empty: one is not."""
    aside = [trusts[runner.runner_id] for runner in takers if _is_set_aside(runner.runner_id, trusts)]
    if not aside or len(aside) < len(takers):
        return ""
    first = min(aside, key=lambda trust: (trust.until, trust.runner_id))
    who = ", ".join(sorted(trust.runner_id for trust in aside))
    return f"every runner that could take it is set aside ({who}); {first.runner_id}: {first.reason}"


def _is_set_aside(runner_id: RunnerId, trusts: Mapping[RunnerId, RunnerHealth]) -> bool:
    trust = trusts.get(runner_id)
    return trust is not None and trust.is_quarantined


def _line(reason: str) -> str:
    return first_line(reason) or "no reason given"
