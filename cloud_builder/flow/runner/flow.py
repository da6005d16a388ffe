"""cb-runner: the hands. Takes orders meant for it, keeps its slots busy, reports.

In come `job.assigned` and `job.revoked`; out go heartbeats, reports and live logs. Building itself is the Builder's
(`pipeline.py`), one thread a slot; this module never builds, decides, signs or publishes. What it holds is in its
documents before the build begins, so that a runner that was killed can say so when it comes back.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue

from cloud_builder import __version__
from cloud_builder.model import events as e
from cloud_builder.model.ids import JobId, RunnerId
from cloud_builder.model.outcome import Outcome, Role
from cloud_builder.model.settings import RunnerSettings
from cloud_builder.planning.attempt.transitions import LOST_BROKER
from cloud_builder.ports.builder import Builder
from cloud_builder.ports.mesh import Received, UnitOfWork
from cloud_builder.ports.queue import OfferQueue
from cloud_builder.ports.state import Documents

from .attempt_journal import AttemptJournal, unfinished_assignments
from .attempt_reports import finished_report, lost_report, reclassify_stop, released_report
from .build_threads import BuildThreads
from .cache_inventory import CacheInventory, capacity
from .claims import Claims
from .livelog import LiveLog

log = logging.getLogger("cb.runner")

BUSY_POLL, IDLE_POLL = 0.01, 0.1
IDLE_AFTER = 50
"""Seconds between two looks at a build are its age by this: its end is told within 2 % of its time, and to watch over
an hour of build costs next to nothing."""
STOP_SECONDS = 2.5
CLEAN_UP_SECONDS = 3.0
"""After the last words: a build that did not end within STOP_SECONDS was handed back, and goes on ending."""
HEARTBEAT_PAUSE_PER_SLOT = 0.002
SLOTS_WITHOUT_PAUSE = 8


class ActiveBuild:
    """One build under way."""

    def __init__(self, order: e.JobAssigned) -> None:
        self.order = order
        self.cancel = threading.Event()
        self.log = LiveLog()
        self.begun = time.monotonic()
        self.why = ""
        """Why it was told to stop; decides what is reported."""


class RunnerFlow:
    """cb-runner as the mesh loop sees it. `now`: when this life began. `queue`: for shared-queue dispatch."""

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
        self._arch = arch
        self._started_at = now
        self._slots: dict[JobId, ActiveBuild] = {}
        self._queued: dict[tuple[JobId, int], e.JobAssigned] = {}
        """By job and attempt."""
        self._journal = AttemptJournal()
        self._reports: SimpleQueue[e.AttemptFinished] = SimpleQueue()
        self._unacknowledged: list[tuple[ActiveBuild, e.AttemptFinished]] = []
        self._threads = BuildThreads()
        self._claims = Claims(queue, RunnerId(settings.id), now)
        self._inventory = inventory
        self._capacity = capacity(settings, os.cpu_count() or 1)
        self._last_heartbeat = 0.0
        self._changed = False
        self._left_behind: list[e.JobAssigned] | None = None

    def restore(self, state: Documents) -> None:
        """Builds go on when a transaction is rolled back; what was reported in it is to be told again."""
        if self._left_behind is None:
            self._builder.sweep()
        self._journal.restore(state)
        for slot, report in self._unacknowledged:
            self._slots[report.job_id] = slot
            self._reports.put(report)
        self._unacknowledged.clear()
        mine = {order.job_id for order in self._held()}
        self._left_behind = [order for order in unfinished_assignments(state) if order.job_id not in mine]
        self._claims.rolled_back()

    def republish(self, work: UnitOfWork) -> None:
        """Heartbeats say all there is to say."""

    # --- orders ---------------------------------------------------------------------------------------------------

    def handle(self, event: Received, work: UnitOfWork) -> None:
        self._unacknowledged.clear()
        match event.payload:
            case e.JobAssigned() as order if order.runner_id == self.instance:
                self._take(order, work)
            case e.ClaimRefused() as refused if refused.runner_id == self.instance:
                self._claims.refused(refused, work.now)
            case e.JobRevoked() as revoked if revoked.runner_id == self.instance:
                self._revoke(revoked, work)
            case e.RunnerQuarantined() as told if told.runner_id == self.instance:
                _log_eligibility(told, work.now)

    def _take(self, order: e.JobAssigned, work: UnitOfWork) -> None:
        self._claims.granted(order.job_id, order.attempt)
        if not self._journal.record_assignment(order, work):
            return
        slot = self._slots.get(order.job_id)
        if slot is None or slot.order.attempt != order.attempt:
            self._queued.setdefault((order.job_id, order.attempt), order)

    def _held(self) -> list[e.JobAssigned]:
        return [*(slot.order for slot in self._slots.values()), *self._queued.values()]

    def _revoke(self, event: e.JobRevoked, work: UnitOfWork) -> None:
        self._claims.granted(event.job_id, event.attempt)
        slot = self._slots.get(event.job_id)
        if slot is not None and slot.order.attempt <= event.attempt:
            log.info("revoked", extra={"job": event.job_id, "attempt": event.attempt, "why": event.reason})
            slot.why = slot.why or "revoked"
            slot.cancel.set()
        for place, order in tuple(self._queued.items()):
            if order.job_id == event.job_id and order.attempt <= event.attempt:
                del self._queued[place]
                self._finish(work, finished_report(order, work.now, "revoked", event.reason, Outcome.CANCELED))

    # --- time -----------------------------------------------------------------------------------------------------

    def tick(self, work: UnitOfWork) -> None:
        self._changed |= self._report_lost_attempts(work) | self._report(work) | self._fill_slots(work)
        self._claims.tick(work, self._settings.slots - len(self._slots) - len(self._queued))
        for job_id, slot in self._slots.items():
            for piece in slot.log.take(job_id, slot.order.attempt):
                work.emit_live(piece)
        if work.now - work.broker_seen > self._lease():
            self._stop_all(LOST_BROKER)
        elif work.now - self._last_heartbeat >= (self._pause() if self._changed else self._settings.heartbeat):
            self._last_heartbeat = work.now
            self._changed = False
            work.emit(self._heartbeat(work.now))
            self._journal.prune(work)

    def max_wait(self) -> float:
        if self._claims.is_busy:
            return 0.0
        if self._changed or any(slot.log.is_behind for slot in self._slots.values()):
            return BUSY_POLL
        if not self._slots:
            return self._settings.heartbeat / 4
        youngest = time.monotonic() - max(slot.begun for slot in self._slots.values())
        return min(max(BUSY_POLL, youngest / IDLE_AFTER), IDLE_POLL, self._settings.heartbeat / 4)

    def _pause(self) -> float:
        """A heartbeat lists all that is held. Where that is much and changes all the time, some changes are told
        together; orders and reports tell each of them anyway."""
        return min(self._settings.heartbeat, HEARTBEAT_PAUSE_PER_SLOT * max(0, len(self._slots) - SLOTS_WITHOUT_PAUSE))

    def stop(self, work: UnitOfWork) -> None:
        """Ends the builds and hands their jobs back: they count no error and go to another runner at once. That we
        leave is said first, or the jobs would come back to us."""
        work.emit(e.RunnerDraining(runner_id=RunnerId(self.instance), reason="told to stop", at=work.now))
        self._stop_all("stopped")
        unheard = {job_id: slot.order for job_id, slot in self._slots.items()}
        until = time.monotonic() + STOP_SECONDS
        while unheard:
            try:
                report = self._reports.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                break
            order = unheard.pop(report.job_id)
            canceled = report.outcome is Outcome.CANCELED
            self._finish(work, released_report(order, work.now) if canceled else report)
        for order in [*unheard.values(), *self._queued.values()]:
            self._finish(work, released_report(order, work.now))
        self._slots.clear()
        self._queued.clear()
        self._claims.close()

    def close(self) -> None:
        """After the last words, or after they failed: builds remove what they have on disk before we are gone."""
        self._stop_all("stopped")
        if not self._threads.wait_idle(CLEAN_UP_SECONDS):
            log.warning("left-behind", extra={"why": "a build does not end; the next start removes what it left"})

    # --- parts ----------------------------------------------------------------------------------------------------

    def _report_lost_attempts(self, work: UnitOfWork) -> bool:
        """What an earlier life of this runner held is lost; saying so is quicker than a lease."""
        lost, self._left_behind = self._left_behind or [], []
        for order in lost:
            self._finish(work, lost_report(order, work.now))
        return bool(lost)

    def _fill_slots(self, work: UnitOfWork) -> bool:
        """A new attempt waits until the one before it, of the same job, has ended."""
        taken = False
        for place, order in tuple(self._queued.items()):
            if len(self._slots) >= self._settings.slots:
                break
            if order.job_id not in self._slots:
                del self._queued[place]
                self._begin(order, work)
                taken = True
        return taken

    def _begin(self, order: e.JobAssigned, work: UnitOfWork) -> None:
        slot = self._slots[order.job_id] = ActiveBuild(order)
        log.info("started", extra={"job": order.job_id, "attempt": order.attempt, "unit": order.unit})
        work.emit(
            e.AttemptStarted(job_id=order.job_id, attempt=order.attempt, runner_id=order.runner_id, started_at=work.now)
        )
        mine = order.model_copy(update={"limits": self._settings.limits})
        self._threads.submit(partial(_work, self._builder, mine, slot, self._reports.put), len(self._slots))

    def _report(self, work: UnitOfWork) -> bool:
        self._unacknowledged.clear()
        while not self._reports.empty():
            report = self._reports.get()
            slot = self._slots.pop(report.job_id)
            self._unacknowledged.append((slot, report))
            if report.outcome in (Outcome.SUCCESS, Outcome.FAILURE):
                self._inventory.record(slot.order)
            for piece in slot.log.flush(report.job_id, report.attempt):
                work.emit_live(piece)
            self._finish(work, reclassify_stop(report, slot.why))
        return bool(self._unacknowledged)

    def _finish(self, work: UnitOfWork, report: e.AttemptFinished) -> None:
        log.info(
            "ended",
            extra={"job": report.job_id, "attempt": report.attempt, "outcome": report.outcome, "why": report.message},
        )
        self._journal.record_result(report, work)
        work.emit(report)

    def _stop_all(self, why: str) -> None:
        for job_id, slot in self._slots.items():
            if not slot.cancel.is_set():
                log.warning("stopping", extra={"job": job_id, "attempt": slot.order.attempt, "why": why})
                slot.why = slot.why or why
                slot.cancel.set()

    def _lease(self) -> float:
        return min((slot.order.lease for slot in self._slots.values()), default=self._settings.heartbeat)

    def _heartbeat(self, now: float) -> e.RunnerSeen:
        return e.RunnerSeen(
            runner_id=RunnerId(self.instance),
            runner_group=self._settings.group,
            arch=self._arch,
            slots=self._settings.slots,
            attempts=tuple(e.RunningAttempt(job_id=order.job_id, attempt=order.attempt) for order in self._held()),
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


def _log_eligibility(told: e.RunnerQuarantined, now: float) -> None:
    if told.reason:
        log.warning("quarantined", extra={"why": told.reason, "seconds": max(0, round(told.until - now))})
    else:
        log.info("quarantine-ended")


def _work(
    builder: Builder, order: e.JobAssigned, slot: ActiveBuild, report: Callable[[e.AttemptFinished], None]
) -> None:
    """A slot's thread. A builder never raises; when it does all the same, that is our bug, told as an error."""
    try:
        report(builder.build(order, slot.log.write, slot.cancel))
    except Exception as error:
        log.exception("builder-bug", extra={"job": order.job_id})
        report(finished_report(order, time.time(), "bug", f"{type(error).__name__}: {error}"))
