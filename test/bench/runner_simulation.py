"""Simulates many runners around the scheduler's real planning code: queue, free slots, match, transitions, quarantine.

Input: jobs, runners, and events with their times (a discrete-event simulation: the clock jumps from one event to the
next). Output: when each job started and ended, the slots of each source over time, and the CPU time of the planning.
The same inputs give the same run.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from cloud_builder.model.events import AttemptFinished
from cloud_builder.model.ids import JobId, RunnerId, SourceName
from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.model.priority import Priority
from cloud_builder.planning.attempt import quarantine, transitions
from cloud_builder.planning.attempt.quarantine import AttemptEnd, RunnerHealth
from cloud_builder.planning.attempt.transitions import RetryPolicy
from cloud_builder.planning.inputs.inputs import Readiness, readiness
from cloud_builder.planning.records import JobRecord, RunnerRecord
from cloud_builder.planning.schedule.free_slots import FreeSlots
from cloud_builder.planning.schedule.match import match, queued_job
from cloud_builder.planning.schedule.queue import JobQueue, QueuedJob, QueuePolicy

AT_REST = 10.0
"""Simulated seconds between two checks of retries and of runners in quarantine, when nothing else happens."""


class Planner:
    """Simulates the scheduler by the functions of planning. `make_entry`: makes the queue entry of a job."""

    def __init__(self, rules: QueuePolicy, policy: RetryPolicy, make_entry: Callable[[JobRecord], QueuedJob]) -> None:
        self.queue, self.slots, self._policy, self._make_entry = JobQueue(rules), FreeSlots(), policy, make_entry
        self.jobs: dict[JobId, JobRecord] = {}
        self.runners: dict[RunnerId, RunnerRecord] = {}
        self.waiting: Counter[SourceName] = Counter()
        """Jobs that wait for a slot, by source."""
        self.finished = 0
        """The number of finished jobs."""
        self._waiters: dict[JobId, list[JobId]] = defaultdict(list)
        self._delayed: list[tuple[float, JobId]] = []
        self._health: dict[RunnerId, RunnerHealth] = {}

    def add(self, jobs: Iterable[JobRecord], now: float) -> None:
        for job in jobs:
            self.jobs[job.job_id] = job
            for need in job.needs:
                self._waiters[need].append(job.job_id)
            if not job.needs:
                self._queue(job, now)

    def dispatch(self, now: float) -> list[JobRecord]:
        """Returns the jobs that get a slot now."""
        while self._delayed and self._delayed[0][0] <= now:
            _, job_id = heapq.heappop(self._delayed)
            self._wait(self.jobs[job_id], now)
        has_quarantined = any(health.is_quarantined for health in self._health.values())
        self.slots.update(
            self.runners, quarantine.slot_limits(self.runners.values(), self._health, now) if has_quarantined else {}
        )
        given = []
        for assignment in match(self.queue, self.slots, self.jobs, now):
            runner = self.runners[assignment.runner_id]
            job = transitions.assign(self.jobs[assignment.job_id], assignment.runner_id, runner.started_at, now)
            self.jobs[job.job_id] = job
            self.waiting[job.source] -= 1
            changed = {"attempts": runner.attempts | {(job.job_id, job.attempt)}}
            self.runners[assignment.runner_id] = runner.model_copy(update=changed)
            given.append(job)
        return given

    def ended(self, report: AttemptFinished, now: float) -> None:
        runner = self.runners.get(report.runner_id)
        if runner is not None:
            changed = {"attempts": runner.attempts - {(report.job_id, report.attempt)}}
            self.runners[report.runner_id] = runner.model_copy(update=changed)
        job = self.jobs[report.job_id]
        if transitions.is_current(job, report.attempt):
            self._judge(job, AttemptEnd(report.outcome, report.code, report.message), now)
            self._put(transitions.finish(job, report, self._policy, now), now)

    def lost(self, runner_id: RunnerId, now: float) -> None:
        """Removes a runner; its jobs are lost."""
        runner = self.runners.pop(runner_id)
        for job_id, _ in sorted(runner.attempts):
            self._put(transitions.retry_or_fail(self.jobs[job_id], "runner lost", self._policy, now), now)

    def _judge(self, job: JobRecord, end: AttemptEnd, now: float) -> None:
        assert job.runner_id is not None
        after = quarantine.after(self._health.get(job.runner_id), job, end, now, self._policy.quarantine_after)
        if after is not None:
            self._health[job.runner_id] = after
        else:
            self._health.pop(job.runner_id, None)

    def _put(self, job: JobRecord, now: float) -> None:
        self.queue.release(job.job_id, now)
        self.jobs[job.job_id] = job
        self.finished += job.is_finished
        if not job.is_finished:
            heapq.heappush(self._delayed, (job.not_before, job.job_id))
            return
        for waiter in self._waiters.pop(job.job_id, ()):
            other = self.jobs[waiter]
            if other.state is JobState.BLOCKED:
                verdict, _ = readiness([self.jobs[need] for need in other.needs])
                if verdict is Readiness.START:
                    self._queue(other, now)
                elif verdict is Readiness.SKIP:
                    self._put(transitions.cancel(other, "what it needs failed"), now)

    def _queue(self, job: JobRecord, now: float) -> None:
        job = job.model_copy(update={"state": JobState.QUEUED, "queued_at": now})
        self.jobs[job.job_id] = job
        self._wait(job, now)

    def _wait(self, job: JobRecord, now: float) -> None:
        self.queue.add(self._make_entry(job), now)
        self.waiting[job.source] += 1


def first_come(job: JobRecord) -> QueuedJob:
    """Returns a queue entry without source, class and critical path: first come, first served, the baseline."""
    return queued_job(job)._replace(
        source=SourceName(""), requester="", priority=Priority.NORMAL, critical_path=0.0, sequence=job.queued_at
    )


@dataclass(frozen=True)
class FaultRates:
    """Fault rates. `error`: chance of an error for each build, `bad`: on a bad runner. Average seconds for which a
    runner is up and down (0: it never fails).
    """

    error: float = 0.0
    bad: float = 0.0
    bad_runners: int = 0
    up: float = 0.0
    down: float = 600.0


@dataclass
class RunnerSimulation:
    """A simulation. `seconds`: how long a job really takes. `cpu`: seconds of CPU of the planning."""

    planner: Planner
    seconds: Callable[[JobRecord], float]
    random: Random
    fault_rates: FaultRates = field(default_factory=FaultRates)
    now: float = 0.0
    cpu: float = 0.0
    started: dict[JobId, float] = field(default_factory=dict)
    busy: Counter[SourceName] = field(default_factory=Counter)
    """Slots in use now, by source."""
    on_step: Callable[[RunnerSimulation, float], None] | None = None
    """Called before the clock moves on, with the seconds."""

    def __post_init__(self) -> None:
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbers = count()

    def set_up(self, runners: int, slots: int, arch: str = "x86_64") -> None:
        for number in range(runners):
            runner_id = RunnerId(f"r{number}")
            self._come(runner_id, slots, arch)
            if self.fault_rates.up:
                self._at(self.random.expovariate(1 / self.fault_rates.up), self._go, runner_id, slots, arch)

    def arrive(self, when: float, jobs: Sequence[JobRecord]) -> None:
        self._at(when, lambda: self._plan(self.planner.add, jobs, self.now))

    def run(self, until: Callable[[], bool]) -> float:
        """Runs until `until` returns True; returns the simulated time."""
        while not until():
            if not self._events:
                self._at(self.now + AT_REST, lambda: None)
            when = self._events[0][0]
            if self.on_step is not None:
                self.on_step(self, when - self.now)
            self.now = when
            while self._events and self._events[0][0] <= when:
                _, _, happens, about = heapq.heappop(self._events)
                happens(*about)
            for job in self._plan(self.planner.dispatch, self.now):
                self._begin(job)
        return self.now

    def _plan(self, step: Callable[..., Any], *about: Any) -> Any:
        begun = time.thread_time()
        result = step(*about)
        self.cpu += time.thread_time() - begun
        return result

    def _at(self, when: float, happens: Callable[..., None], *about: Any) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), happens, about))

    def _begin(self, job: JobRecord) -> None:
        self.started.setdefault(job.job_id, self.now)
        self.busy[job.source] += 1
        assert job.runner_id is not None
        bad = int(job.runner_id[1:]) < self.fault_rates.bad_runners
        fails = self.random.random() < (self.fault_rates.bad if bad else self.fault_rates.error)
        seconds = self.seconds(job) * (self.random.random() if fails else 1.0)
        self._at(self.now + seconds, self._end, job, Outcome.ERROR if fails else Outcome.SUCCESS)

    def _end(self, job: JobRecord, outcome: Outcome) -> None:
        self.busy[job.source] -= 1
        assert job.runner_id is not None
        if not transitions.is_current(self.planner.jobs[job.job_id], job.attempt):
            return
        result = {"outcome": outcome, "started_at": job.assigned_at, "finished_at": self.now}
        report = AttemptFinished(job_id=job.job_id, attempt=job.attempt, runner_id=job.runner_id, **result)
        self._plan(self.planner.ended, report, self.now)

    def _come(self, runner_id: RunnerId, slots: int, arch: str) -> None:
        self.planner.runners[runner_id] = RunnerRecord(
            runner_id=runner_id, runner_group="", arch=arch, slots=slots, started_at=self.now, last_seen=self.now
        )

    def _go(self, runner_id: RunnerId, slots: int, arch: str) -> None:
        self._plan(self.planner.lost, runner_id, self.now)
        back = self.now + self.random.expovariate(1 / self.fault_rates.down)
        self._at(back, self._come, runner_id, slots, arch)
        self._at(back + self.random.expovariate(1 / self.fault_rates.up), self._go, runner_id, slots, arch)


def jain(amounts: Sequence[float]) -> float:
    """Jain's fairness index (Jain, Chiu, Hawe 1984): 1 when all have the same, 1/n when one has all."""
    squares = sum(amount * amount for amount in amounts)
    return sum(amounts) ** 2 / (len(amounts) * squares) if squares else 1.0
