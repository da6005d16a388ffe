"""Reports queued jobs that no live runner takes: with the cause, at once, and once for each cause."""

from __future__ import annotations

from collections.abc import Iterable

from cloud_builder.model.events import JobBlocked
from cloud_builder.model.ids import JobId
from cloud_builder.planning.schedule.free_slots import RunnerRequirements
from cloud_builder.ports.mesh import UnitOfWork

from .job_events import job_event
from .state import SchedulerState


class UnschedulableReporter:
    """Emits `job.blocked` for unschedulable jobs, and remembers the cause reported for each set of requirements.

    Newly queued jobs are reported one tick late: `job.queued` must come first, because it says what a job asks for."""

    def __init__(self) -> None:
        self._reported: dict[RunnerRequirements, str] = {}
        self._version = (-1, -1)
        """The version of the runner table at the last report."""
        self._newly_queued: list[JobId] = []
        """Jobs that were queued during this tick; they are looked at in the next one."""

    def report(self, state: SchedulerState, work: UnitOfWork) -> None:
        """Reports each job whose requirements no runner meets: once, and again when the cause changes. Uses the free
        slots as the last dispatch left them."""
        queue = state.jobs.queue
        newly_queued, self._newly_queued = self._newly_queued, state.jobs.pop_newly_queued()
        version = state.runners.version
        changed, self._version = self._version != version, version
        affected: Iterable[RunnerRequirements] = (
            state.jobs.queued_requirements()
            if changed
            else {state.jobs.requirements_of(job_id) for job_id in newly_queued if job_id in queue}
        )
        for requirements in affected:
            reason = state.runners.why_unschedulable(requirements)
            if not reason:
                self._reported.pop(requirements, None)
                continue
            is_new_cause = self._reported.get(requirements) != reason
            self._reported[requirements] = reason
            jobs = state.jobs.queued_with(requirements) if is_new_cause else newly_queued
            self._emit(state, work, requirements, reason, jobs)

    def _emit(
        self,
        state: SchedulerState,
        work: UnitOfWork,
        requirements: RunnerRequirements,
        reason: str,
        job_ids: Iterable[JobId],
    ) -> None:
        too_new = set(self._newly_queued)
        for job_id in job_ids:
            if job_id not in state.jobs.queue or job_id in too_new:
                continue
            if state.jobs.requirements_of(job_id) == requirements:
                work.emit(job_event(JobBlocked, state.jobs.by_id[job_id], work.now, reason=reason))
