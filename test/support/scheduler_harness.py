"""Drives cb-scheduler without a mesh: a test moves the clock, and decides which events are delivered when."""

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
    """A scheduler on a state in memory, with simulated runners.

    runners       names of the live runners, each with so many `slots`
    emitted       everything that the scheduler emitted
    starts        (job, attempt) of each assignment, in order
    incarnations  live runner → when its process started
    assignments   runner → what is assigned to it and not reported as finished
    """

    def __init__(self, *, runners: tuple[str, ...] = ("r1",), slots: int = 1, **settings: float) -> None:
        self.slots = slots
        self.state = MemoryState()
        self.settings = SchedulerSettings(**settings)
        self.now = self.broker_seen = 1000.0
        self.broker_away = False
        self.emitted: list[e.Payload] = []
        self.starts: list[tuple[str, int]] = []
        self.incarnations = dict.fromkeys(runners, 1.0)
        self.assignments: dict[str, list[e.JobAssigned]] = {name: [] for name in runners}
        self._numbers = count()
        self.boot()

    def boot(self) -> None:
        """Starts a new scheduler process on the same state."""
        self.flow = SchedulerFlow(self.settings, "http://store/objects")
        self.flow.restore(self.state)

    def deliver(self, *payloads: e.Payload) -> list[e.Payload]:
        """Handles events, and one tick, in one transaction like the mesh loop; returns what was emitted."""
        self.broker_seen = self.broker_seen if self.broker_away else self.now
        work = RecordingWork(self.state, self.now, broker_seen=self.broker_seen)
        with self.state.transaction():
            for payload in payloads:
                self.flow.handle(ReceivedEvent(payload), work)
            self.flow.tick(work)
        self.emitted += work.emitted
        for payload in work.emitted:
            if isinstance(payload, e.JobAssigned):
                self.assignments[payload.runner_id].append(payload)
                self.starts.append((payload.job_id, payload.attempt))
        return work.emitted

    def stop(self) -> None:
        """Runs the last transaction of a process that is stopped."""
        with self.state.transaction():
            self.flow.stop(RecordingWork(self.state, self.now))

    def republish(self) -> list[e.Payload]:
        """Returns what the scheduler emits for a broker that has lost its data."""
        work = RecordingWork(self.state, self.now)
        with self.state.transaction():
            self.flow.republish(work)
        return work.emitted

    def wait(self, seconds: float) -> list[e.Payload]:
        """Moves the clock, with a heartbeat of every live runner each second."""
        emitted: list[e.Payload] = []
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 1.0)
            emitted += self.deliver(*self.heartbeats())
        return emitted

    def heartbeats(self) -> list[e.RunnerSeen]:
        return [self.seen(name) for name in self.incarnations]

    def seen(self, name: str) -> e.RunnerSeen:
        return e.RunnerSeen(
            runner_id=name,
            arch="x86_64",
            slots=self.slots,
            attempts=tuple(
                e.RunningAttempt(job_id=assignment.job_id, attempt=assignment.attempt)
                for assignment in self.assignments[name]
            ),
            started_at=self.incarnations[name],
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

    def report(self, assignment: e.JobAssigned, outcome: Outcome = Outcome.SUCCESS, content: str = "", **more):
        version = assignment.rebuild.built_version if assignment.rebuild else "1"
        package = deb(assignment.name, version, content=content or assignment.input_key)
        made = (package,) if outcome is Outcome.SUCCESS else ()
        return e.AttemptFinished(
            job_id=assignment.job_id,
            attempt=assignment.attempt,
            runner_id=assignment.runner_id,
            outcome=outcome,
            artifacts=made,
            started_at=self.now,
            finished_at=self.now,
            **more,
        )

    def finish_all(self, outcome=lambda assignment: Outcome.SUCCESS) -> None:
        """Lets every runner finish its jobs, until no job is assigned."""
        while any(self.assignments.values()):
            for assignments in self.assignments.values():
                while assignments:
                    assignment = assignments.pop(0)
                    started = e.AttemptStarted(
                        job_id=assignment.job_id,
                        attempt=assignment.attempt,
                        runner_id=assignment.runner_id,
                        started_at=self.now,
                    )
                    self.deliver(started, self.report(assignment, outcome(assignment)))

    def events_of(self, kind: type[e.Payload]) -> list:
        return [payload for payload in self.emitted if isinstance(payload, kind)]

    def outcomes(self, request: str = "q") -> dict[str, str]:
        return {job.unit: job.outcome.value for job in self.result(request).jobs}

    def result(self, request: str = "q") -> e.RequestFinished:
        [finished] = [event for event in self.events_of(e.RequestFinished) if event.request_id == request]
        return finished
