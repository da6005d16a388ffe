"""What goes wrong around jobs: runners that are not trusted, deaths that are in doubt, deadlines that pass.

In come what runners report and the time; out go what a runner may be given, jobs that are counted out or given up, and
`runner.quarantined`. Only how far runners are trusted is written down; the rest is an index over open requests and
jobs.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING

from cloud_builder.model.events import AttemptFinished, RunnerQuarantined
from cloud_builder.model.frozen import CachedJson
from cloud_builder.model.ids import JobId, RequestId, RunnerId
from cloud_builder.model.outcome import JobState
from cloud_builder.planning.attempt import poison, quarantine, transitions
from cloud_builder.planning.attempt.quarantine import AttemptEnd, RunnerHealth
from cloud_builder.planning.attempt.transitions import RetryPolicy
from cloud_builder.planning.records import JobRecord, RequestRecord, RunnerRecord
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

if TYPE_CHECKING:
    from .state import SchedulerState

log = logging.getLogger("cb.scheduler")

FORGET_AFTER = 7 * 86400.0
"""Seconds after which a runner that was set aside, and is gone, is forgotten."""


class RunnerQuarantine:
    """Made anew from the documents, like the world that it belongs to."""

    def __init__(self, state: Documents) -> None:
        self.trusts: dict[RunnerId, RunnerHealth] = {}
        self.version = 0
        """Changes whenever a runner is set aside or trusted again."""
        self.suspects: dict[RunnerId, set[JobId]] = defaultdict(set)
        """Jobs that a silent runner may have died of."""
        self.deadlines: dict[RequestId, float] = {}
        for _, body in state.find("trust"):
            known = RunnerHealth.model_validate(body)
            self.trusts[known.runner_id] = known

    # --- what it is told ------------------------------------------------------------------------------------------

    def note_job(self, job: JobRecord) -> None:
        for death in job.losses:
            if not death.is_confirmed:
                self.suspects[death.runner_id].add(job.job_id)

    def note_request(self, request: RequestRecord) -> None:
        if request.deadline is not None and not request.canceled:
            self.deadlines.setdefault(request.request_id, request.accepted_at + request.deadline)

    # --- trust ----------------------------------------------------------------------------------------------------

    def caps(self, runners: Collection[RunnerRecord], now: float) -> dict[RunnerId, int]:
        """How many slots may be used of runners that are set aside."""
        if not any(known.is_quarantined for known in self.trusts.values()):
            return {}
        return quarantine.slot_limits(runners, self.trusts, now)

    def why_none(self, takers: Collection[RunnerRecord]) -> str:
        """Why a job waits although there are runners that could take it: all are set aside. Empty: they are not."""
        return quarantine.why_quarantined(takers, self.trusts) if self.trusts else ""

    def judge(self, work: UnitOfWork, job: JobRecord, end: AttemptEnd, limit: int) -> None:
        """`job`: as it was when its current attempt ended so."""
        if job.runner_id is None:
            return
        before = self.trusts.get(job.runner_id)
        after = quarantine.after(before, job, end, work.now, limit)
        if after != before:
            self._save(work, job.runner_id, after)
            if _aside_since(before) != _aside_since(after):
                self._tell(work, job.runner_id, after)

    def is_past_deadline(self, work: UnitOfWork, report: AttemptFinished) -> None:
        """A report of an attempt that counts no more."""
        known = self.trusts.get(report.runner_id)
        if known is not None and quarantine.is_cleared_by(known, report):
            self._save(work, report.runner_id, None)
            if known.is_quarantined:
                self._tell(work, report.runner_id, None)

    def returned(self, work: UnitOfWork, runner_id: RunnerId) -> None:
        """It was told to stop."""
        known = self.trusts.get(runner_id)
        if known is not None and known.is_quarantined:
            self._save(work, runner_id, quarantine.after_planned_stop(known, work.now))

    def republish(self, work: UnitOfWork) -> None:
        for runner_id, known in self.trusts.items():
            if known.is_quarantined:
                self._tell(work, runner_id, known)

    def forget(self, work: UnitOfWork, live: Collection[RunnerId]) -> None:
        for runner_id, known in list(self.trusts.items()):
            if runner_id not in live and work.now - known.last_error > FORGET_AFTER:
                self._save(work, runner_id, None)
                if known.is_quarantined:
                    self._tell(work, runner_id, None)

    def _save(self, work: UnitOfWork, runner_id: RunnerId, known: RunnerHealth | None) -> None:
        if known is None:
            self.trusts.pop(runner_id, None)
            work.documents.delete("trust", runner_id)
        else:
            self.trusts[runner_id] = known
            work.documents.put("trust", runner_id, CachedJson(known))

    def _tell(self, work: UnitOfWork, runner_id: RunnerId, known: RunnerHealth | None) -> None:
        self.version += 1
        if known is None:
            log.info("quarantine-ended", extra={"runner": runner_id})
            work.emit(RunnerQuarantined(runner_id=runner_id, at=work.now))
        else:
            log.warning("quarantined", extra={"runner": runner_id, "why": known.reason, "seconds": known.pause})
            work.emit(RunnerQuarantined(runner_id=runner_id, reason=known.reason, until=known.until, at=work.now))

    # --- deaths ---------------------------------------------------------------------------------------------------

    def on_runner_seen(
        self, world: SchedulerState, runner_id: RunnerId, life: float, policy: RetryPolicy, now: float
    ) -> list[JobRecord]:
        """What becomes of jobs that a runner seemed to have died of, now that it has spoken; to be saved."""
        changed = []
        for job_id in self.suspects.pop(runner_id, ()):
            job = world.jobs.get(job_id)
            if job is not None and not job.is_finished and poison.is_unconfirmed(job, runner_id):
                changed.append(transitions.on_runner_seen(job, runner_id, life, policy, now))
        return changed

    def due(self, world: SchedulerState, policy: RetryPolicy, now: float) -> list[JobRecord]:
        """Jobs whose runners were silent for too long to be in doubt any more, as failures."""
        doubted = {job_id for jobs in self.suspects.values() for job_id in jobs}
        jobs = [job for job_id in sorted(doubted) if (job := world.jobs.get(job_id)) is not None]
        over = [
            job
            for job in jobs
            if job.state is JobState.QUEUED and not now < job.not_before <= now + policy.confirm_wait
        ]
        return [transitions.fail_as_poison(job) for job in over if poison.may_be_poison(job, policy.poison_after)]

    @staticmethod
    def suspects_on(world: SchedulerState, job: JobRecord, runner_id: RunnerId) -> tuple[JobId, ...]:
        """Jobs on a runner that one may have died of, and this one beside them: who did it could not be told."""
        return (
            tuple(sorted(other for other in world.jobs_by_runner[runner_id] if world.jobs[other].losses))
            if job.losses
            else ()
        )

    # --- deadlines ------------------------------------------------------------------------------------------------

    def overdue(self, world: SchedulerState, now: float) -> list[RequestRecord]:
        """Open requests whose deadline has passed; each is told once. One that lies further ahead than it can was
        reckoned by a clock that was ahead, and counts from now."""
        late = []
        for request_id, due in list(self.deadlines.items()):
            request = world.requests.get(request_id)
            if request is None or request.deadline is None:
                del self.deadlines[request_id]
            elif now >= due:
                del self.deadlines[request_id]
                late.append(request)
            elif due > now + request.deadline:
                self.deadlines[request_id] = now + request.deadline
        return late


def _aside_since(known: RunnerHealth | None) -> float | None:
    return known.at if known is not None and known.is_quarantined else None
