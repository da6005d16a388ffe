"""cb-runner: the hands. Takes orders meant for it, keeps its slots busy, reports.

In come `job.assigned` and `job.revoked`; out go heartbeats, reports and live logs. Building itself is the Builder's
(`pipeline.py`), one thread a slot; this module never builds, decides, signs or publishes. What it holds is in its
documents before the build begins, so that a runner that was killed can say so when it comes back.
"""

from __future__ import annotations

import logging
import platform
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from cloud_builder import __version__
from cloud_builder.model import events as e
from cloud_builder.model.ids import JobId, RunnerId
from cloud_builder.model.outcome import Outcome, Role
from cloud_builder.model.settings import RunnerSettings
from cloud_builder.planning.advance import HANDED_BACK
from cloud_builder.ports.builder import Builder
from cloud_builder.ports.mesh import Received, Work
from cloud_builder.ports.state import Documents

from .livelog import LiveLog

log = logging.getLogger("cb.runner")

BUSY_PATIENCE = 0.01
STOP_SECONDS = 2.5
REMEMBER_SECONDS = 7 * 86400.0


class Slot:
    """One build under way."""

    def __init__(self, order: e.JobAssigned) -> None:
        self.order = order
        self.cancel = threading.Event()
        self.log = LiveLog()
        self.why = ""
        """Why it was told to stop; decides what is reported."""


class RunnerFlow:
    """cb-runner as the mesh loop sees it. `now`: when this life began."""

    role = Role.RUNNER

    def __init__(self, settings: RunnerSettings, builder: Builder, arch: str, now: float) -> None:
        self.instance = settings.id
        self._settings = settings
        self._builder = builder
        self._arch = arch
        self._started_at = now
        self._slots: dict[JobId, Slot] = {}
        self._waiting: list[e.JobAssigned] = []
        self._reports: SimpleQueue[e.AttemptFinished] = SimpleQueue()
        self._next_heartbeat = 0.0
        self._left_behind: list[e.JobAssigned] | None = None

    def restore(self, state: Documents) -> None:
        if self._left_behind is None:
            self._builder.sweep()
            self._left_behind = [e.JobAssigned.model_validate(body) for _, body in state.find("held")]

    def resume(self, work: Work) -> None:
        """Heartbeats say all there is to say."""

    # --- orders ---------------------------------------------------------------------------------------------------

    def handle(self, event: Received, work: Work) -> None:
        match event.payload:
            case e.JobAssigned() as order if order.runner_id == self.instance:
                self._take(order, work)
            case e.JobRevoked() as revoked if revoked.runner_id == self.instance:
                self._stop_attempt(revoked.job_id, revoked.attempt, revoked.reason)

    def _take(self, order: e.JobAssigned, work: Work) -> None:
        known = work.state.get("done", order.job_id) or work.state.get("held", order.job_id)
        if known is not None and known["attempt"] >= order.attempt:
            return
        work.state.put("held", order.job_id, order.model_dump(mode="json"), rank=work.now)
        self._waiting.append(order)

    def _stop_attempt(self, job_id: JobId, attempt: int, reason: str) -> None:
        slot = self._slots.get(job_id)
        if slot is not None and slot.order.attempt <= attempt:
            log.info("revoked", extra={"job": job_id, "attempt": attempt, "why": reason})
            slot.why = slot.why or "revoked"
            slot.cancel.set()

    # --- time -----------------------------------------------------------------------------------------------------

    def tick(self, work: Work) -> None:
        changed = self._confess(work) | self._report(work) | self._fill_slots(work)
        for job_id, slot in self._slots.items():
            for piece in slot.log.take(job_id, slot.order.attempt):
                work.emit_live(piece)
        if work.now - work.broker_seen > self._lease():
            self._stop_all("lost-broker")
        elif changed or work.now >= self._next_heartbeat:
            self._next_heartbeat = work.now + self._settings.heartbeat
            work.emit(self._heartbeat(work.now))

    def patience(self) -> float:
        return BUSY_PATIENCE if self._slots else self._settings.heartbeat / 4

    def stop(self, work: Work) -> None:
        """Ends the builds and hands their jobs back: they count no error and go to another runner at once."""
        self._stop_all("stopped")
        unheard = {job_id: slot.order for job_id, slot in self._slots.items()}
        while unheard:
            try:
                report = self._reports.get(timeout=STOP_SECONDS)
            except Empty:
                break
            order = unheard.pop(report.job_id)
            canceled = report.outcome is Outcome.CANCELED
            self._finish(work, _handed_back(order, work.now) if canceled else report)
        for order in [*unheard.values(), *self._waiting]:
            self._finish(work, _handed_back(order, work.now))
        self._slots.clear()
        self._waiting.clear()
        work.emit(e.RunnerDraining(runner_id=RunnerId(self.instance), reason="told to stop", at=work.now))

    # --- parts ----------------------------------------------------------------------------------------------------

    def _confess(self, work: Work) -> bool:
        """What an earlier life of this runner held is lost; saying so is quicker than a lease."""
        lost, self._left_behind = self._left_behind or [], []
        for order in lost:
            self._finish(work, _died(order, work.now))
        for job_id, body in list(work.state.find("done", most=100)) if lost else ():
            if body["at"] < work.now - REMEMBER_SECONDS:
                work.state.delete("done", job_id)
        return bool(lost)

    def _fill_slots(self, work: Work) -> bool:
        taken = False
        while self._waiting and len(self._slots) < self._settings.slots:
            self._begin(self._waiting.pop(0), work)
            taken = True
        return taken

    def _begin(self, order: e.JobAssigned, work: Work) -> None:
        slot = self._slots[order.job_id] = Slot(order)
        log.info("started", extra={"job": order.job_id, "attempt": order.attempt, "unit": order.unit})
        work.emit(
            e.AttemptStarted(job_id=order.job_id, attempt=order.attempt, runner_id=order.runner_id, started_at=work.now)
        )
        mine = order.model_copy(update={"limits": self._settings.limits})
        thread = threading.Thread(
            target=_work, args=(self._builder, mine, slot, self._reports.put), name=order.job_id, daemon=True
        )
        thread.start()

    def _report(self, work: Work) -> bool:
        any_report = False
        while not self._reports.empty():
            report = self._reports.get()
            slot = self._slots.pop(report.job_id)
            for piece in slot.log.rest(report.job_id, report.attempt):
                work.emit_live(piece)
            self._finish(work, _as_told(report, slot.why))
            any_report = True
        return any_report

    def _finish(self, work: Work, report: e.AttemptFinished) -> None:
        log.info(
            "ended",
            extra={"job": report.job_id, "attempt": report.attempt, "outcome": report.outcome, "why": report.message},
        )
        work.state.delete("held", report.job_id)
        work.state.put("done", report.job_id, {"attempt": report.attempt, "at": work.now}, rank=work.now)
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
        held = [*(slot.order for slot in self._slots.values()), *self._waiting]
        return e.RunnerSeen(
            runner_id=RunnerId(self.instance),
            runner_group=self._settings.group,
            arch=self._arch,
            slots=self._settings.slots,
            attempts=tuple(e.RunningAttempt(job_id=order.job_id, attempt=order.attempt) for order in held),
            buildroots=self._builder.buildroots(),
            host=platform.node(),
            software=__version__,
            started_at=self._started_at,
            at=now,
        )


def _work(builder: Builder, order: e.JobAssigned, slot: Slot, report: Callable[[e.AttemptFinished], None]) -> None:
    """A slot's thread. A builder never raises; when it does all the same, that is our bug, told as an error."""
    try:
        report(builder.build(order, slot.log.write, slot.cancel))
    except Exception as error:
        log.exception("builder-bug", extra={"job": order.job_id})
        report(_ended(order, order.limits.time, "bug", f"{type(error).__name__}: {error}"))


def _as_told(report: e.AttemptFinished, why: str) -> e.AttemptFinished:
    """A build that we stopped ourselves for want of a broker is nobody's cancel: another runner shall try."""
    if report.outcome is Outcome.CANCELED and why == "lost-broker":
        return report.model_copy(
            update={"outcome": Outcome.ERROR, "code": why, "message": "the runner could not reach the broker"}
        )
    return report


def _handed_back(order: e.JobAssigned, now: float) -> e.AttemptFinished:
    return _ended(order, now, HANDED_BACK, f"runner {order.runner_id} was told to stop")


def _died(order: e.JobAssigned, now: float) -> e.AttemptFinished:
    return _ended(order, now, "runner-restarted", f"runner {order.runner_id} died while it built this")


def _ended(order: e.JobAssigned, now: float, code: str, message: str) -> e.AttemptFinished:
    return e.AttemptFinished(
        job_id=order.job_id,
        attempt=order.attempt,
        runner_id=order.runner_id,
        outcome=Outcome.ERROR,
        code=code,
        message=message,
        started_at=now,
        finished_at=now,
    )
