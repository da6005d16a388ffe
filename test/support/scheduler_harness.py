"""The scheduler with simulated runners and a simulated collector, in one process; a test moves the clock and decides
what is delivered when."""

from __future__ import annotations

from itertools import count

from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.flow.scheduler import SchedulerFlow
from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.settings import SchedulerSettings
from cloud_builder.model.unit import Unit
from support.factories import deb
from support.work import ReceivedEvent, RecordingWork


class SchedulerHarness:
    """Drives the scheduler's flow. `runners`: names of live runners, with so many `slots` each."""

    def __init__(self, *, runners: tuple[str, ...] = ("r1",), slots: int = 1, **settings: float) -> None:
        self.slots = slots
        self.state = MemoryState()
        self.settings = SchedulerSettings(**settings)
        self.now = self.broker_seen = 1000.0
        self.broker_away = False
        self.told: list[e.Payload] = []
        self.starts: list[tuple[str, int]] = []
        self.lives = dict.fromkeys(runners, 1.0)
        self.holding: dict[str, list[e.JobAssigned]] = {name: [] for name in runners}
        self._numbers = count()
        self.boot()

    def boot(self) -> None:
        """A new scheduler process on the same state."""
        self.flow = SchedulerFlow(self.settings, "http://store/objects")
        self.flow.restore(self.state)

    def deliver(self, *payloads: e.Payload) -> list[e.Payload]:
        """One transaction of the mesh loop."""
        self.broker_seen = self.broker_seen if self.broker_away else self.now
        work = RecordingWork(self.state, self.now, broker_seen=self.broker_seen)
        with self.state.transaction():
            for payload in payloads:
                self.flow.handle(ReceivedEvent(payload), work)
            self.flow.tick(work)
        self.told += work.emitted
        for payload in work.emitted:
            if isinstance(payload, e.JobAssigned):
                self.holding[payload.runner_id].append(payload)
                self.starts.append((payload.job_id, payload.attempt))
        return work.emitted

    def stop(self) -> None:
        """The last transaction of a process that is told to stop."""
        with self.state.transaction():
            self.flow.stop(RecordingWork(self.state, self.now))

    def republish(self) -> list[e.Payload]:
        """The broker has lost its memory."""
        work = RecordingWork(self.state, self.now)
        with self.state.transaction():
            self.flow.republish(work)
        return work.emitted

    def wait(self, seconds: float) -> list[e.Payload]:
        """Time passes, with every live runner's heartbeat each second."""
        told: list[e.Payload] = []
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 1.0)
            told += self.deliver(*self.heartbeats())
        return told

    def heartbeats(self) -> list[e.RunnerSeen]:
        return [self.seen(name) for name in self.lives]

    def seen(self, name: str) -> e.RunnerSeen:
        return e.RunnerSeen(
            runner_id=name,
            arch="x86_64",
            slots=self.slots,
            attempts=tuple(e.RunningAttempt(job_id=o.job_id, attempt=o.attempt) for o in self.holding[name]),
            started_at=self.lives[name],
            at=self.now,
        )

    def snapshot(self, *units: Unit, source: str = "s", revision: str = "a") -> e.SourceRevised:
        return e.SourceRevised(
            source=source, url="file:///s", branch="main", revision=revision * 40, followed=True, units=units
        )

    def request(self, *units: str, id: str = "q", source: str = "s", revision: str = "a", **more) -> e.RequestAccepted:
        return e.RequestAccepted(
            request_id=id,
            source=source,
            ref="main",
            revision=revision * 40,
            units=tuple(f"p/{name}" for name in units),
            accepted_at=self.now,
            **{"publish": False, **more},
        )

    def report(self, order: e.JobAssigned, outcome: Outcome = Outcome.SUCCESS, content: str = "", **more):
        made = (deb(order.name, content=content or order.input_key),) if outcome is Outcome.SUCCESS else ()
        return e.AttemptFinished(
            job_id=order.job_id,
            attempt=order.attempt,
            runner_id=order.runner_id,
            outcome=outcome,
            artifacts=made,
            started_at=self.now,
            finished_at=self.now,
            **more,
        )

    def work_off(self, outcome=lambda order: Outcome.SUCCESS) -> None:
        """Every runner finishes what it holds, until nobody holds anything."""
        while any(self.holding.values()):
            for orders in self.holding.values():
                while orders:
                    order = orders.pop(0)
                    started = e.AttemptStarted(
                        job_id=order.job_id, attempt=order.attempt, runner_id=order.runner_id, started_at=self.now
                    )
                    self.deliver(started, self.report(order, outcome(order)))

    def of(self, kind: type[e.Payload]) -> list:
        return [payload for payload in self.told if isinstance(payload, kind)]

    def outcomes(self, request: str = "q") -> dict[str, str]:
        return {job.unit: job.outcome.value for job in self.result(request).jobs}

    def result(self, request: str = "q") -> e.RequestFinished:
        [finished] = [event for event in self.of(e.RequestFinished) if event.request_id == request]
        return finished
