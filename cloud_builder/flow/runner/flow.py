"""The flow of cb-runner: accepts its assignments, keeps its slots busy, reports.

Input: `job.assigned`, `job.revoked`. Output: heartbeats, reports, live logs. The Builder builds, in one thread for each
slot. Must not build, decide, sign or publish. An assignment is in the journal before its build begins, so that a
restarted runner can report the attempts that it lost.
"""

from __future__ import annotations

import logging
import os
import platform

from cloud_builder import __version__
from cloud_builder.model import events as e
from cloud_builder.model.ids import JobId, RunnerId
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.role import Role
from cloud_builder.model.settings import RunnerSettings
from cloud_builder.planning.attempt.transitions import LOST_BROKER
from cloud_builder.ports.builder import Builder
from cloud_builder.ports.mesh import Received, UnitOfWork
from cloud_builder.ports.queue import OfferQueue
from cloud_builder.ports.state import Documents

from .attempt_journal import AttemptJournal, unfinished_assignments
from .attempt_reports import finished_report, lost_report, reclassify_stop, released_report
from .build_slots import BUSY_POLL, BuildSlots
from .cache_inventory import CacheInventory, capacity
from .claims import Claims

_LOG = logging.getLogger("cb.runner")

STOP_SECONDS = 2.5
"""The longest wait for canceled builds when the runner stops; then their jobs are released without a report."""
CLEAN_UP_SECONDS = 3.0
"""The longest wait after the last transaction for builds that took longer than STOP_SECONDS."""
HEARTBEAT_PAUSE_PER_SLOT = 0.002
"""Seconds between two heartbeats for each active build beyond SLOTS_WITHOUT_PAUSE."""
SLOTS_WITHOUT_PAUSE = 8


class RunnerFlow:
    """cb-runner as the mesh loop sees it.

    now     when this incarnation of the runner started
    queue   for shared-queue dispatch; None: directed dispatch only
    """

    role = Role.RUNNER

    def __init__(
        self,
        settings: RunnerSettings,
        builder: Builder,
        arch: str,
        now: float,
        *,
        inventory: CacheInventory,
        queue: OfferQueue | None = None,
    ) -> None:
        self.instance = settings.id
        self._settings = settings
        self._builder = builder
        self._slots = BuildSlots(builder, settings.slots, settings.limits)
        self._arch = arch
        self._started_at = now
        self._queued: dict[tuple[JobId, int], e.JobAssigned] = {}
        """By job and attempt."""
        self._journal = AttemptJournal()
        self._claims = Claims(queue, RunnerId(settings.id), now)
        self._inventory = inventory
        self._capacity = capacity(settings, os.cpu_count() or 1)
        self._last_heartbeat = 0.0
        self._changed = False
        """Something changed that the next heartbeat lists."""
        self._lost: list[e.JobAssigned] | None = None
        """Unfinished assignments of an earlier incarnation; None: before the first `restore`."""

    def restore(self, state: Documents) -> None:
        """Reads the journal. After a rollback builds go on; what the transaction reported is reported again."""
        if self._lost is None:
            self._builder.sweep()
        self._journal.restore(state)
        self._slots.roll_back()
        present = {assignment.job_id for assignment in self._assignments()}
        self._lost = [assignment for assignment in unfinished_assignments(state) if assignment.job_id not in present]
        self._claims.rolled_back()

    def republish(self, work: UnitOfWork) -> None:
        """Emits nothing: heartbeats contain the whole state of a runner."""

    # --- assignments ------------------------------------------------------------------------------------------------

    def handle(self, event: Received, work: UnitOfWork) -> None:
        self._slots.commit()
        match event.payload:
            case e.JobAssigned() as assignment if assignment.runner_id == self.instance:
                self._accept(assignment, work)
            case e.ClaimRefused() as refusal if refusal.runner_id == self.instance:
                self._claims.on_refused(refusal, work.now)
            case e.JobRevoked() as revocation if revocation.runner_id == self.instance:
                self._revoke(revocation, work)
            case e.RunnerQuarantined() as quarantine if quarantine.runner_id == self.instance:
                _log_eligibility(quarantine, work.now)

    def _accept(self, assignment: e.JobAssigned, work: UnitOfWork) -> None:
        self._claims.on_answered(assignment.job_id, assignment.attempt)
        if not self._journal.record_assignment(assignment, work):
            return
        build = self._slots.active.get(assignment.job_id)
        if build is None or build.assignment.attempt != assignment.attempt:
            self._queued.setdefault((assignment.job_id, assignment.attempt), assignment)

    def _assignments(self) -> list[e.JobAssigned]:
        return [*(build.assignment for build in self._slots.active.values()), *self._queued.values()]

    def _revoke(self, event: e.JobRevoked, work: UnitOfWork) -> None:
        self._claims.on_answered(event.job_id, event.attempt)
        build = self._slots.active.get(event.job_id)
        if build is not None and build.assignment.attempt <= event.attempt:
            _LOG.info("revoked", extra={"job": event.job_id, "attempt": event.attempt, "why": event.reason})
            build.stop("revoked")
        for key, assignment in tuple(self._queued.items()):
            if assignment.job_id == event.job_id and assignment.attempt <= event.attempt:
                del self._queued[key]
                self._finish(work, finished_report(assignment, work.now, "revoked", event.reason, Outcome.CANCELED))

    # --- time -------------------------------------------------------------------------------------------------------

    def tick(self, work: UnitOfWork) -> None:
        self._changed |= self._report_lost_attempts(work) | self._report_finished(work) | self._fill_slots(work)
        self._claims.tick(work, self._slots.free - len(self._queued))
        for job_id, build in self._slots.active.items():
            for piece in build.log.take(job_id, build.assignment.attempt):
                work.emit_live(piece)
        if work.now - work.broker_seen > self._lease():
            self._slots.stop_all(LOST_BROKER)
        elif work.now - self._last_heartbeat >= self._heartbeat_interval():
            self._last_heartbeat = work.now
            self._changed = False
            work.emit(self._heartbeat(work.now))
            self._journal.prune(work)

    def max_wait(self) -> float:
        if self._claims.is_busy:
            return 0.0
        if self._changed or any(build.log.is_behind for build in self._slots.active.values()):
            return BUSY_POLL
        poll_interval = self._slots.poll_interval() if self._slots.active else self._settings.heartbeat
        return min(poll_interval, self._settings.heartbeat / 4)

    def _heartbeat_interval(self) -> float:
        """Returns the seconds between two heartbeats; after a change a short time, or none.

        A heartbeat lists all attempts of the runner. With many of them that change all the time, one heartbeat
        announces several changes; `attempt.started` and reports announce each of them anyway."""
        if not self._changed:
            return self._settings.heartbeat
        pause = HEARTBEAT_PAUSE_PER_SLOT * max(0, len(self._slots.active) - SLOTS_WITHOUT_PAUSE)
        return min(self._settings.heartbeat, pause)

    def stop(self, work: UnitOfWork) -> None:
        """Ends the builds and releases their jobs, which count no error and go to another runner at once.

        `runner.draining` is emitted first; otherwise the scheduler would assign the jobs to this runner again."""
        work.emit(e.RunnerDraining(runner_id=RunnerId(self.instance), reason="stopped", at=work.now))
        self._slots.stop_all("stopped")
        for assignment, report in self._slots.wait_for_reports(STOP_SECONDS):
            if report is None or report.outcome is Outcome.CANCELED:
                self._finish(work, released_report(assignment, work.now))
            else:
                self._finish(work, report)
        for assignment in self._queued.values():
            self._finish(work, released_report(assignment, work.now))
        self._queued.clear()
        self._claims.close()

    def close(self) -> None:
        """Waits until the builds have removed their files. Called after `stop`, or after `stop` has failed."""
        self._slots.stop_all("stopped")
        if not self._slots.wait_idle(CLEAN_UP_SECONDS):
            why = "a build does not end; the next start of the runner removes its files"
            _LOG.warning("left-behind", extra={"why": why})

    # --- parts ------------------------------------------------------------------------------------------------------

    def _report_lost_attempts(self, work: UnitOfWork) -> bool:
        """Reports the attempts of an earlier incarnation as lost. Without it the scheduler would wait for the lease."""
        lost, self._lost = self._lost or [], []
        for assignment in lost:
            self._finish(work, lost_report(assignment, work.now))
        return bool(lost)

    def _fill_slots(self, work: UnitOfWork) -> bool:
        """Starts queued assignments. A new attempt waits until the one before it, of the same job, has ended."""
        has_started = False
        for key, assignment in tuple(self._queued.items()):
            if self._slots.free <= 0:
                break
            if assignment.job_id not in self._slots.active:
                del self._queued[key]
                self._start(assignment, work)
                has_started = True
        return has_started

    def _start(self, assignment: e.JobAssigned, work: UnitOfWork) -> None:
        job_id, attempt = assignment.job_id, assignment.attempt
        _LOG.info("started", extra={"job": job_id, "attempt": attempt, "unit": assignment.unit})
        work.emit(e.AttemptStarted(job_id=job_id, attempt=attempt, runner_id=assignment.runner_id, started_at=work.now))
        self._slots.start(assignment)

    def _report_finished(self, work: UnitOfWork) -> bool:
        self._slots.commit()
        has_finished = False
        for build, report in self._slots.finished():
            has_finished = True
            if report.outcome in (Outcome.SUCCESS, Outcome.FAILURE):
                self._inventory.record(build.assignment)
            for piece in build.log.flush(report.job_id, report.attempt):
                work.emit_live(piece)
            self._finish(work, reclassify_stop(report, build.stop_cause))
        return has_finished

    def _finish(self, work: UnitOfWork, report: e.AttemptFinished) -> None:
        _LOG.info(
            "ended",
            extra={"job": report.job_id, "attempt": report.attempt, "outcome": report.outcome, "why": report.message},
        )
        self._journal.record_result(report, work)
        work.emit(report)

    def _lease(self) -> float:
        return min((build.assignment.lease for build in self._slots.active.values()), default=self._settings.heartbeat)

    def _heartbeat(self, now: float) -> e.RunnerSeen:
        assignments = self._assignments()
        return e.RunnerSeen(
            runner_id=RunnerId(self.instance),
            runner_group=self._settings.group,
            arch=self._arch,
            slots=self._settings.slots,
            attempts=tuple(e.RunningAttempt(job_id=a.job_id, attempt=a.attempt) for a in assignments),
            buildroots=(*self._builder.buildroots(), *self._inventory.roots),
            layers=self._inventory.layers,
            sources=self._inventory.sources,
            capacity=self._capacity,
            queues=self._claims.queues,
            host=platform.node(),
            software=__version__,
            started_at=self._started_at,
            at=now,
        )


def _log_eligibility(event: e.RunnerQuarantined, now: float) -> None:
    if event.reason:
        _LOG.warning("quarantined", extra={"why": event.reason, "seconds": max(0, round(event.until - now))})
    else:
        _LOG.info("quarantine-ended")
