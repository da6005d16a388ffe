"""What a runner does with orders, revocations, its own end, and its own return."""

import time
from dataclasses import dataclass
from threading import Event as Flag

from scheduler_bench import BOOKWORM, Event, Transaction

from cloud_builder.adapters.memory.builder import MemoryBuilder
from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.flow.runner.cache_inventory import Footprint
from cloud_builder.flow.runner.flow import RunnerFlow
from cloud_builder.flow.runner.livelog import BACKLOG, LiveLog
from cloud_builder.model import events as e
from cloud_builder.model.limits import Limits
from cloud_builder.model.outcome import Kind, Outcome
from cloud_builder.model.settings import RunnerSettings


def order(number=1, attempt=1, runner="r1"):
    return e.JobAssigned(
        job_id=f"q.{number}",
        attempt=attempt,
        runner_id=runner,
        request_id="q",
        source="s",
        url="u",
        revision="a" * 40,
        unit="p/u",
        directory="projects/p/u",
        name="u",
        kind=Kind.PACKAGE,
        tree="b" * 40,
        target=BOOKWORM,
        input_key="k",
    )


@dataclass
class Until:
    """A build that goes on until it is let go or canceled."""

    go: Flag
    limits: Limits | None = None

    def __call__(self, order, log, cancel):
        self.limits = order.limits
        log(b"hello\n")
        while not self.go.wait(0.005):
            if cancel.is_set():
                return Outcome.CANCELED
        return Outcome.SUCCESS


class Desk:
    """A runner with everything it says."""

    def __init__(self, build=None, state=None, **settings):
        self.builder = MemoryBuilder(build) if build else MemoryBuilder()
        self.state = state or MemoryState()
        self.now = 1000.0
        self.told = []
        self.flow = RunnerFlow(
            RunnerSettings(id="r1", **settings), self.builder, "x86_64", self.now, inventory=Footprint(10, 10)
        )
        self.flow.restore(self.state)

    def deliver(self, *payloads, broker_seen=None):
        with self.state.transaction():
            work = Transaction(self.now, self.state, broker_seen=self.now if broker_seen is None else broker_seen)
            for payload in payloads:
                self.flow.handle(Event(payload), work)
            self.flow.tick(work)
        self.told += work.emitted

    def roll_back(self, *payloads):
        """A transaction that cannot be committed."""
        try:
            with self.state.transaction():
                work = Transaction(self.now, self.state, broker_seen=self.now)
                for payload in payloads:
                    self.flow.handle(Event(payload), work)
                self.flow.tick(work)
                raise OSError("disk full")
        except OSError:
            self.flow.restore(self.state)

    def stop(self):
        with self.state.transaction():
            work = Transaction(self.now, self.state, broker_seen=self.now)
            self.flow.stop(work)
        self.told += work.emitted

    def of(self, kind):
        return [payload for payload in self.told if isinstance(payload, kind)]

    def until(self, kind, count=1):
        deadline = time.monotonic() + 10
        while len(self.of(kind)) < count:
            assert time.monotonic() < deadline, f"no {kind.__name__}: {self.told}"
            self.deliver()
        return self.of(kind)


def test_an_order_is_started_built_and_reported():
    desk = Desk()
    desk.deliver(order())
    [report] = desk.until(e.AttemptFinished)
    assert (report.job_id, report.attempt, report.outcome) == ("q.1", 1, Outcome.SUCCESS)
    assert len(desk.of(e.AttemptStarted)) == 1
    assert desk.of(e.RunnerSeen)[-1].attempts == ()


def test_an_order_read_again_and_an_order_for_another_runner_start_nothing():
    desk = Desk()
    desk.deliver(order())
    desk.until(e.AttemptFinished)
    desk.deliver(order(), order(2, runner="r2"))
    desk.deliver(order())
    assert len(desk.of(e.AttemptStarted)) == 1


def test_a_later_attempt_of_the_same_job_is_built():
    desk = Desk()
    desk.deliver(order())
    desk.until(e.AttemptFinished)
    desk.deliver(order(attempt=2))
    assert [report.attempt for report in desk.until(e.AttemptFinished, 2)] == [1, 2]


def test_the_settings_of_the_runner_limit_every_attempt():
    build = Until(Flag())
    build.go.set()
    desk = Desk(build, limits=Limits(memory=123))
    desk.deliver(order())
    desk.until(e.AttemptFinished)
    assert build.limits == Limits(memory=123)


def test_heartbeats_list_what_is_held_and_come_at_each_change():
    build = Until(Flag())
    desk = Desk(build, slots=2)
    desk.deliver()
    desk.deliver(order(1), order(2))
    assert len(desk.of(e.RunnerSeen)) == 2
    assert {held.job_id for held in desk.of(e.RunnerSeen)[-1].attempts} == {"q.1", "q.2"}
    desk.deliver()
    assert len(desk.of(e.RunnerSeen)) == 2
    desk.now += 3
    desk.deliver()
    assert len(desk.of(e.RunnerSeen)) == 3
    build.go.set()
    desk.until(e.AttemptFinished, 2)


def test_a_revoked_attempt_ends_canceled():
    desk = Desk(Until(Flag()))
    desk.deliver(order())
    desk.deliver(e.JobRevoked(job_id="q.1", attempt=1, runner_id="r1", reason="canceled"))
    assert desk.until(e.AttemptFinished)[0].outcome is Outcome.CANCELED


def test_the_live_log_goes_out_while_the_build_runs():
    desk = Desk(Until(Flag()))
    desk.deliver(order())
    [piece] = desk.until(e.LogAppended)
    assert (piece.text, piece.offset) == ("hello\n", 0)
    desk.stop()


def test_a_runner_told_to_stop_hands_its_jobs_back():
    desk = Desk(Until(Flag()))
    desk.deliver(order())
    desk.stop()
    [report] = desk.of(e.AttemptFinished)
    assert (report.outcome, report.code) == (Outcome.ERROR, "runner-stopped")
    said = [type(event) for event in desk.told]
    assert said.index(e.RunnerDraining) < said.index(e.AttemptFinished), "or the scheduler hands it to us again"
    assert list(desk.state.find("held")) == []


def test_a_runner_that_was_killed_says_what_it_lost_when_it_comes_back():
    build = Until(Flag())
    before = Desk(build)
    before.deliver(order())
    after = Desk(state=before.state)
    assert after.builder.sweeps == 1
    after.deliver()
    [report] = after.of(e.AttemptFinished)
    assert (report.outcome, report.code, report.attempt) == (Outcome.ERROR, "runner-restarted", 1)
    after.deliver(order())
    assert after.of(e.AttemptStarted) == []
    build.go.set()


def test_a_runner_out_of_touch_for_a_lease_stops_its_builds():
    desk = Desk(Until(Flag()))
    desk.deliver(order())
    heard = desk.now
    desk.now += 13
    desk.deliver(broker_seen=heard)
    [report] = desk.until(e.AttemptFinished)
    assert (report.outcome, report.code) == (Outcome.ERROR, "lost-broker")


def test_a_log_faster_than_its_readers_loses_its_middle_and_says_where():
    log = LiveLog()
    log.write(b"a" * 10)
    log.write(b"b" * BACKLOG)
    [first, *_] = list(log.take("j", 1))
    assert first.offset == 10
    assert first.text.startswith("b")
    rest = "".join(piece.text for piece in log.rest("j", 1))
    assert len(first.text) + len(rest) == BACKLOG


def test_an_order_revoked_before_it_began_never_begins():
    desk = Desk()
    desk.deliver(order(), e.JobRevoked(job_id="q.1", attempt=1, runner_id="r1", reason="canceled"))
    desk.deliver()
    [report] = desk.of(e.AttemptFinished)
    assert (report.outcome, desk.of(e.AttemptStarted)) == (Outcome.CANCELED, [])
    assert desk.of(e.RunnerSeen)[-1].attempts == ()


def test_a_new_attempt_waits_for_the_end_of_the_old_one_of_the_same_job():
    let_go = Flag()
    build = Until(let_go)
    stubborn = MemoryBuilder(lambda order, log, cancel: build(order, log, Flag()))
    desk = Desk(slots=2)
    desk.flow._builder = stubborn
    desk.deliver(order())
    desk.deliver(e.JobRevoked(job_id="q.1", attempt=1, runner_id="r1", reason="silent"), order(attempt=2))
    assert [started.attempt for started in desk.of(e.AttemptStarted)] == [1]
    let_go.set()
    assert [report.attempt for report in desk.until(e.AttemptFinished, 2)] == [1, 2]
    desk.deliver(order(attempt=2))
    assert len(desk.of(e.AttemptStarted)) == 2
    assert list(desk.state.find("held")) == []


def test_the_order_of_a_running_second_attempt_read_again_starts_nothing():
    desk = Desk(slots=2)
    desk.deliver(order())
    desk.until(e.AttemptFinished)
    desk.flow._builder = MemoryBuilder(Until(Flag()))
    desk.deliver(order(attempt=2))
    desk.deliver(order(attempt=2))
    assert [started.attempt for started in desk.of(e.AttemptStarted)] == [1, 2]
    assert len(desk.of(e.RunnerSeen)[-1].attempts) == 1
    desk.stop()


def test_a_transaction_that_is_done_again_starts_and_loses_nothing():
    go = Flag()
    desk = Desk(Until(go), slots=2)
    desk.roll_back(order())
    desk.deliver(order())
    assert len(desk.flow._slots) == 1
    go.set()
    while desk.flow._reports.empty():
        time.sleep(0.001)
    desk.roll_back()
    desk.deliver()
    assert [report.outcome for report in desk.of(e.AttemptFinished)] == [Outcome.SUCCESS]
    desk.deliver()
    assert len(desk.of(e.AttemptFinished)) == 1


def test_what_is_done_is_forgotten_after_some_time():
    desk = Desk()
    for number in range(3):
        desk.deliver(order(number))
        desk.until(e.AttemptFinished, number + 1)
        desk.now += 30 * 86400
    assert len(list(desk.state.find("done"))) == 1
