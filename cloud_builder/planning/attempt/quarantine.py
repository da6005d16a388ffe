"""Quarantine: a runner whose jobs repeatedly end in `error` gets no work until a probe job succeeds there.

*Input:* reports of a runner. *Output:* the runner's health, and how many of its slots may be used now.

    healthy ──3 errors in a row──► quarantined until a pause is over ──► gets one job, the probe job
       ▲                                      ▲  the pause doubles             │
       └──────────────success─────────────────┴──────────error────────────────┘

- Several errors of one incident count once: an error of a job that was assigned before the last counted error is
  ignored. A full disk, for example, ends the jobs of all slots at once.
- An error that the runner did not cause (it was stopped on purpose, the broker was away) does not count.
- Where every runner that could take a job is quarantined, no pause is longer than a minute: then the cause is rarely
  the runners, and the job must be able to finish.
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
"""Seconds."""
MAX_QUARANTINE = 900.0
"""Seconds: the pause does not double beyond."""
SOLE_CANDIDATE_QUARANTINE = 60.0
"""Seconds: the longest pause of a runner beside which there is no healthy one."""
UNREACHABLE = "source-unreachable"
"""Code of an `error`: the runner could not fetch the source."""
_NOT_CAUSED_BY_RUNNER = (RUNNER_STOPPED, LOST_BROKER)


class RunnerHealth(LenientModel):
    """The health record of a runner with errors. A runner without a record is healthy."""

    runner_id: RunnerId
    errors: tuple[str, ...] = ()
    """One entry an incident in a row: the job that ended in `error`, or the source when it could not be reached,
    because then all its jobs end so."""
    last_error: float = 0.0
    pause: float = 0.0
    """Seconds of the current quarantine; 0: not quarantined."""
    until: float = 0.0
    """Quarantined: the runner gets no job before this time, and one job at a time after it."""
    reason: str = ""
    """Quarantined: the cause in words."""
    at: float = 0.0
    """When the runner was quarantined, the last time."""

    @property
    def is_quarantined(self) -> bool:
        return self.pause > 0


class AttemptEnd(NamedTuple):
    """The result of a job's current attempt."""

    outcome: Outcome
    code: str
    reason: str


def after(health: RunnerHealth | None, job: JobRecord, end: AttemptEnd, now: float, limit: int) -> RunnerHealth | None:
    """Returns the health of a runner after an attempt ended there; None: healthy.

    `job`: as it was before the end of the attempt. `limit`: errors in a row that quarantine the runner."""
    assert job.runner_id is not None
    if end.outcome is Outcome.SUCCESS:
        return None
    if end.outcome is Outcome.FAILURE:
        # A failed recipe shows that the runner came as far as the recipe, and nothing about the steps after it.
        return health if health is not None and health.is_quarantined else None
    if end.outcome is not Outcome.ERROR or end.code in _NOT_CAUSED_BY_RUNNER:
        return health
    incident = f"source {job.source}" if end.code == UNREACHABLE else job.job_id
    if health is not None and job.assigned_at < health.last_error <= now:
        return health
    if health is not None and incident in health.errors and not health.is_quarantined:
        return health
    return _after_error(health or RunnerHealth(runner_id=job.runner_id), incident, end.reason, now, limit)


def is_cleared_by(health: RunnerHealth, report: AttemptFinished) -> bool:
    """True when a report of an attempt that is no longer current clears the runner.

    The job was superseded, canceled or given to another runner meanwhile, so the report changes nothing for the job. A
    success that started after the last error shows that the runner works."""
    return report.outcome is Outcome.SUCCESS and report.started_at > health.last_error


def _after_error(health: RunnerHealth, incident: str, reason: str, now: float, limit: int) -> RunnerHealth:
    errors = (*health.errors, incident)[-limit:]
    health = health.model_copy(update={"errors": errors, "last_error": now})
    if len(errors) < limit and not health.is_quarantined:
        return health
    pause = min(MAX_QUARANTINE, health.pause * 2) or FIRST_QUARANTINE
    cause = f"its last {len(errors)} jobs ended in error: {first_line(reason) or 'no reason given'}"
    return health.model_copy(update={"pause": pause, "until": now + pause, "reason": cause, "at": now})


def after_planned_stop(health: RunnerHealth, now: float) -> RunnerHealth:
    """Returns the health of a runner that was stopped on purpose: it may get a probe job as soon as it is back.

    An operator has stopped the runner, and has probably fixed it."""
    return health.model_copy(update={"until": min(health.until, now)})


def slot_limits(
    runners: Collection[RunnerRecord], health: Mapping[RunnerId, RunnerHealth], now: float
) -> dict[RunnerId, int]:
    """Returns how many slots of each quarantined runner may be used: none, or one for the probe job."""
    quarantined = _quarantined(runners, health)
    sole = sole_candidates(runners, health) if quarantined else set()
    return {
        runner.runner_id: int(
            now >= probe_at(health[runner.runner_id], now, is_sole_candidate=runner.runner_id in sole)
        )
        for runner in quarantined
    }


def probe_at(health: RunnerHealth, now: float, *, is_sole_candidate: bool) -> float:
    """Returns when a quarantined runner gets a probe job.

    A time that no pause reaches was stored while the clock was ahead; then the probe job may start now."""
    pause = min(health.pause, SOLE_CANDIDATE_QUARANTINE) if is_sole_candidate else health.pause
    until = min(health.until, health.at + pause)
    return until if until <= now + MAX_QUARANTINE else now


def sole_candidates(runners: Collection[RunnerRecord], health: Mapping[RunnerId, RunnerHealth]) -> set[RunnerId]:
    """Returns the quarantined runners for whose architecture and group there is no healthy runner."""
    quarantined = _quarantined(runners, health)
    ids = {runner.runner_id for runner in quarantined}
    kinds = {(runner.arch, runner.runner_group) for runner in quarantined}
    healthy_kinds = {
        (arch, group)
        for arch, group in kinds
        if any(  # mostly one of the first
            runner.arch == arch and group in ("", runner.runner_group) and runner.runner_id not in ids
            for runner in runners
        )
    }
    return {runner.runner_id for runner in quarantined if (runner.arch, runner.runner_group) not in healthy_kinds}


def _quarantined(runners: Collection[RunnerRecord], health: Mapping[RunnerId, RunnerHealth]) -> list[RunnerRecord]:
    ids = {runner_id for runner_id, record in health.items() if record.is_quarantined}
    return [runner for runner in runners if runner.runner_id in ids]


def why_quarantined(candidates: Collection[RunnerRecord], health: Mapping[RunnerId, RunnerHealth]) -> str:
    """Returns why a job waits although there are runners that could take it: all are quarantined.

    Empty when one of the candidates is not quarantined."""
    quarantined = [health[runner.runner_id] for runner in candidates if _is_quarantined(runner.runner_id, health)]
    if not quarantined or len(quarantined) < len(candidates):
        return ""
    first = min(quarantined, key=lambda record: (record.until, record.runner_id))
    names = ", ".join(sorted(record.runner_id for record in quarantined))
    return f"every runner that could take it is quarantined ({names}); {first.runner_id}: {first.reason}"


def _is_quarantined(runner_id: RunnerId, health: Mapping[RunnerId, RunnerHealth]) -> bool:
    record = health.get(runner_id)
    return record is not None and record.is_quarantined
