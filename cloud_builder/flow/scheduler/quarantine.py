"""The health of runners: which of them are in quarantine after repeated errors, and until when.

Input: how attempts ended. Output: how many slots of a runner may be used, and `runner.quarantined`. The rules are in
`planning/attempt/quarantine.py`; this module stores the health of each runner in the collection `runner-health`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from cloud_builder.model.events import AttemptFinished, RunnerQuarantined
from cloud_builder.model.frozen import CachedJson
from cloud_builder.model.ids import RunnerId
from cloud_builder.planning.attempt import quarantine
from cloud_builder.planning.attempt.quarantine import AttemptEnd, RunnerHealth
from cloud_builder.planning.records import JobRecord, RunnerRecord
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

HEALTH = "runner-health"
HEALTH_RETENTION = 7 * 86400.0
"""Seconds after its last error for which the health of a runner that is gone is kept."""
_LOG = logging.getLogger("cb.scheduler")


class RunnerQuarantine:
    """A cache of the documents. A runner without a document is healthy."""

    def __init__(self, documents: Documents) -> None:
        self.version = 0
        """Changes whenever a runner enters or leaves quarantine."""
        healths = [RunnerHealth.model_validate(body) for _, body in documents.find(HEALTH)]
        self._health: dict[RunnerId, RunnerHealth] = {health.runner_id: health for health in healths}

    def slot_limits(self, runners: Collection[RunnerRecord], now: float) -> dict[RunnerId, int]:
        """Returns how many slots may be used of each runner in quarantine."""
        if not any(health.is_quarantined for health in self._health.values()):
            return {}
        return quarantine.slot_limits(runners, self._health, now)

    def why_none(self, eligible: Collection[RunnerRecord]) -> str:
        """Returns why a job waits although runners could take it: all of them are in quarantine. Empty if not."""
        return quarantine.why_quarantined(eligible, self._health) if self._health else ""

    def on_attempt_end(self, work: UnitOfWork, job: JobRecord, end: AttemptEnd, max_errors: int) -> None:
        """Counts the end of a job's current attempt. `job`: as it was before that end. `max_errors`: with so many in a
        row the runner enters quarantine."""
        if job.runner_id is None:
            return
        before = self._health.get(job.runner_id)
        after = quarantine.after(before, job, end, work.now, max_errors)
        if after != before:
            self._save(work, job.runner_id, after)
            if _quarantined_at(before) != _quarantined_at(after):
                self._emit(work, job.runner_id, after)

    def on_stale_report(self, work: UnitOfWork, report: AttemptFinished) -> None:
        """Counts a report of an attempt that is no longer current: its success shows that the runner works again."""
        health = self._health.get(report.runner_id)
        if health is not None and quarantine.is_cleared_by(health, report):
            self._remove(work, health)

    def on_runner_draining(self, work: UnitOfWork, runner_id: RunnerId) -> None:
        """Lets a runner that was stopped on request try a job as soon as it is back: an operator looked after it."""
        health = self._health.get(runner_id)
        if health is not None and health.is_quarantined:
            self._save(work, runner_id, quarantine.after_planned_stop(health, work.now))

    def republish(self, work: UnitOfWork) -> None:
        """Emits the quarantines again, for a broker that has lost its data."""
        for runner_id, health in self._health.items():
            if health.is_quarantined:
                self._emit(work, runner_id, health)

    def expire(self, work: UnitOfWork, live: Collection[RunnerId]) -> None:
        """Removes the health of runners that are gone and had no error for HEALTH_RETENTION."""
        for health in list(self._health.values()):
            if health.runner_id not in live and work.now - health.last_error > HEALTH_RETENTION:
                self._remove(work, health)

    def _remove(self, work: UnitOfWork, health: RunnerHealth) -> None:
        self._save(work, health.runner_id, None)
        if health.is_quarantined:
            self._emit(work, health.runner_id, None)

    def _save(self, work: UnitOfWork, runner_id: RunnerId, health: RunnerHealth | None) -> None:
        if health is None:
            self._health.pop(runner_id, None)
            work.documents.delete(HEALTH, runner_id)
        else:
            self._health[runner_id] = health
            work.documents.put(HEALTH, runner_id, CachedJson(health))

    def _emit(self, work: UnitOfWork, runner_id: RunnerId, health: RunnerHealth | None) -> None:
        self.version += 1
        if health is None:
            _LOG.info("quarantine-ended", extra={"runner": runner_id})
            work.emit(RunnerQuarantined(runner_id=runner_id, at=work.now))
        else:
            _LOG.warning("quarantined", extra={"runner": runner_id, "why": health.reason, "seconds": health.pause})
            work.emit(RunnerQuarantined(runner_id=runner_id, reason=health.reason, until=health.until, at=work.now))


def _quarantined_at(health: RunnerHealth | None) -> float | None:
    return health.at if health is not None and health.is_quarantined else None
