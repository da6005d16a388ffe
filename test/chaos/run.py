"""One run: starts the mesh, carries out the schedule, ends all faults, waits for every request, and checks everything.

At the end, without other faults, a runner is killed for good during a build. The time until its job runs elsewhere is
measured.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from confluent_kafka import Producer

from chaos import check
from chaos.cluster import Cluster
from chaos.event_recorder import EventRecorder
from chaos.faults import BROKER, Act, Kind
from chaos.leader_log import LeaderLog
from chaos.proxy import Line
from chaos.source_tree import RECOVERY, SOURCE, SUCCESSION, SourceTree
from chaos.variant import RUNNERS
from cloud_builder.model.events import JobFinished, JobRunning, RunnerSeen

READY_SECONDS = STEP_SECONDS = 180.0
"""The longest wait until the mesh is up, and for one step of a last act, on a busy machine."""
RECOVERY_LIMIT = SUCCESSION_LIMIT = 15.0
"""Seconds on a quiet machine. A run that takes longer is wrong; the short run only reports them."""
_LINES = {Kind.CUT: Line.CUT, Kind.SILENT: Line.SILENT, Kind.SLOW: Line.SLOW}


@dataclass
class Report:
    """The result of a run. `recovery`: seconds until a killed runner's job ran elsewhere; `succession`: until another
    scheduler led after the leader was killed; `epochs`: how many there were."""

    wrong: list[str] = field(default_factory=list)
    made: check.Made = field(default_factory=dict)
    jobs: int = 0
    attempts: int = 0
    recovery: float = 0.0
    succession: float = 0.0
    epochs: int = 0
    logs: str = ""


class Run:
    """`acts`: empty for a quiet run of all variants. `settle`: seconds until all must have ended once all is healed.
    `timed`: recovery and succession have limits."""

    def __init__(
        self,
        cluster: Cluster,
        tree: SourceTree,
        acts: list[Act],
        quiet: check.Made | None,
        *,
        settle: float,
        timed: bool,
    ) -> None:
        self._cluster, self._tree, self._acts, self._quiet = cluster, tree, acts, quiet
        self._settle, self._timed = settle, timed
        self._recorder: EventRecorder
        self._leader_log: LeaderLog
        self._asked: set[str] = set()
        self._producer: Producer
        self._begun = 0.0

    def go(self, requests: tuple[str, ...] = ()) -> Report:
        """`requests`: variants asked for at once, beside the schedule."""
        report = Report()
        self._tree.start()
        self._cluster.start()
        self._producer = Producer({"bootstrap.servers": self._cluster.kafka.settings.bootstrap, "log_level": 0})
        self._recorder = EventRecorder(self._cluster.kafka.settings)
        self._leader_log = LeaderLog(self._cluster.kafka.settings)
        try:
            self._await(self._is_ready, READY_SECONDS, "the mesh is up", report)
            if report.wrong:
                report.logs = self._cluster.keep_logs()
                return report
            for variant in requests:
                self._ask(variant)
            self._play()
            self._cluster.heal()
            self._await(self._is_over, self._settle, "all is healed and every request answered", report)
            if self._acts and not report.wrong:
                report.recovery = self._recover(report)
                if self._timed and report.recovery > RECOVERY_LIMIT:
                    report.wrong.append(f"recovery took {report.recovery:.1f} s")
            if self._acts and not report.wrong and len(self._cluster.schedulers) > 1:
                report.succession = self._succeed(report)
                if self._timed and report.succession > SUCCESSION_LIMIT:
                    report.wrong.append(f"succession took {report.succession:.1f} s")
            self._judge(report)
        finally:
            self._recorder.close()
            self._leader_log.close()
        return report

    def _play(self) -> None:
        self._begun = time.monotonic()
        moments = sorted((moment for act in self._acts for moment in self._moments(act)), key=lambda moment: moment[0])
        for at, happen in moments:
            while (left := self._begun + at - time.monotonic()) > 0:
                self._look(min(left, 0.1))
            happen()

    def _moments(self, act: Act) -> Iterator[tuple[float, Callable[[], None]]]:
        """When an act begins, and when it ends."""
        cluster, over = self._cluster, act.at + act.lasts
        match act.kind:
            case Kind.ASK:
                yield act.at, lambda: self._ask(act.what)
            case Kind.PUSH:
                yield act.at, lambda: self._tree.push(act.what)
            case Kind.KILL if act.what == BROKER:
                yield act.at, cluster.kafka.stop
                yield over, cluster.kafka.start
            case Kind.KILL:
                yield act.at, lambda: cluster.daemons[act.what].kill(act.lasts)
            case Kind.FREEZE:
                yield act.at, lambda: cluster.freeze(act.what, True)
                yield over, lambda: cluster.freeze(act.what, False)
            case Kind.FULL:
                yield act.at, lambda: cluster.fill(act.what, True)
                yield over, lambda: cluster.fill(act.what, False)
            case Kind.CLOCK:
                yield act.at, lambda: cluster.set_clock(act.what, int(act.value))
                yield over, lambda: cluster.set_clock(act.what, 0)
            case _:
                yield act.at, lambda: cluster.lines[act.what].be(_LINES[act.kind])
                yield over, lambda: cluster.lines[act.what].be(Line.WELL)

    def _ask(self, variant: str) -> None:
        """Plain JSON, as a CI job would send it; librdkafka goes on trying while the broker is away."""
        request_id = f"request-{len(self._asked) + 1}"
        self._asked.add(request_id)
        request = {"source": SOURCE, "ref": variant, "all": True, "request_id": request_id}
        self._producer.produce("cb.request", json.dumps(request).encode())

    # --- waiting --------------------------------------------------------------------------------------------------

    def _look(self, seconds: float) -> None:
        started = time.monotonic()
        self._cluster.tend()
        self._producer.poll(0)
        self._recorder.listen(seconds)
        self._leader_log.listen()
        time.sleep(max(0.0, seconds - (time.monotonic() - started)) if seconds < 0.2 else 0.0)

    def _await(self, happened: Callable[[], bool], seconds: float, what: str, report: Report) -> None:
        until = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > until:
                report.wrong.append(f"not within {seconds:g} s: {what}")
                return
            self._look(0.1)

    def _is_ready(self) -> bool:
        return {event.runner_id for event in self._recorder.of(RunnerSeen)} == set(RUNNERS)

    def _is_over(self) -> bool:
        return not check.unanswered(self._recorder, self._asked)

    # --- the last act -----------------------------------------------------------------------------------------------

    def _recover(self, report: Report) -> float:
        before = len(self._recorder.of(JobRunning))
        self._ask(RECOVERY)
        self._await(lambda: self._runs_more(before), STEP_SECONDS, "a job runs, to be killed", report)
        if report.wrong:
            return 0.0
        victim = self._recorder.of(JobRunning)[-1]
        incarnations = self._incarnations(victim.runner_id)
        self._cluster.daemons[victim.runner_id].restarts = False
        self._cluster.daemons[victim.runner_id].kill(0)
        killed = time.monotonic()
        again = f"a job of {victim.runner_id} runs again elsewhere"
        self._await(lambda: self._runs_again(victim) or self._had_ended(victim), STEP_SECONDS, again, report)
        took = 0.0 if self._had_ended(victim) else time.monotonic() - killed
        self._cluster.daemons[victim.runner_id].restarts = True
        self._await(self._is_over, self._settle, "the last request is answered", report)
        # If it is stopped before it has begun, it could not remove what its earlier incarnation left.
        self._await(
            lambda: self._incarnations(victim.runner_id) > incarnations,
            READY_SECONDS,
            f"{victim.runner_id} is back",
            report,
        )
        return took

    def _runs_more(self, before: int) -> bool:
        return len(self._recorder.of(JobRunning)) > before

    def _incarnations(self, runner: str) -> set[float]:
        return {event.started_at for event in self._recorder.of(RunnerSeen) if event.runner_id == runner}

    def _runs_again(self, victim: JobRunning) -> bool:
        """True if one of the jobs of the runner runs again: suspects are tried again one at a time."""
        running = [event for event in self._recorder.of(JobRunning) if event.request_id == victim.request_id]
        attempts = {event.job_id: event.attempt for event in running if event.runner_id == victim.runner_id}
        return any(event.attempt > attempts.get(event.job_id, event.attempt) for event in running)

    def _had_ended(self, victim: JobRunning) -> bool:
        """Returns whether the job had finished when the runner was killed: nothing is to be recovered."""
        ended = (event for event in self._recorder.of(JobFinished) if event.job_id == victim.job_id)
        return any(event.attempt == victim.attempt for event in ended)

    def _succeed(self, report: Report) -> float:
        before = len(self._recorder.of(JobRunning))
        self._ask(SUCCESSION)
        self._await(lambda: self._runs_more(before), STEP_SECONDS, "a job runs, to lose its scheduler", report)
        if report.wrong or (old := self._leader_log.leader) is None:
            return 0.0
        leader = self._cluster.daemons[f"scheduler-{old.id}"]
        leader.restarts = False
        leader.kill(0)
        killed = time.monotonic()
        self._await(lambda: self._leader_log.leader != old, STEP_SECONDS, f"another leads after {leader.name}", report)
        took = time.monotonic() - killed
        leader.restarts = True
        self._await(self._is_over, self._settle, "the request is answered that lost its scheduler", report)
        return took

    # --- the verdict ------------------------------------------------------------------------------------------------

    def _judge(self, report: Report) -> None:
        self._look(1.0)
        quiet = self._quiet
        report.wrong += check.results(self._recorder, self._asked, quiet)
        report.wrong += check.epochs(self._leader_log)
        report.wrong += check.artifacts(self._recorder, self._cluster)
        report.wrong += check.repositories(self._recorder, self._cluster, len(self._tree.units))
        report.wrong += [f"{name} did not stop in time" for name in self._cluster.stop_daemons()]
        report.wrong += check.left_behind(self._cluster)
        for name, daemon in self._cluster.daemons.items():
            report.wrong += [f"{name} ended by itself with status {status}" for status in daemon.exits if status > 0]
        report.made = check.made(self._recorder)
        report.epochs = len({heartbeat.epoch for heartbeat in self._leader_log.heartbeats})
        report.jobs = len(self._recorder.of(JobFinished))
        report.attempts = sum(job.attempt for job in self._recorder.of(JobFinished))
        if report.wrong:
            report.logs = self._cluster.keep_logs()
