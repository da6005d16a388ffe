"""What a runner does with orders, revocations, its own end, and its own return."""

from dataclasses import dataclass
from threading import Event as Flag

from cloud_builder.flow.runner.livelog import BACKLOG_BYTES, LiveLog
from cloud_builder.model import events as e
from cloud_builder.model.limits import Limits
from cloud_builder.model.outcome import Outcome
from support.factories import assignment
from support.runner_harness import RunnerHarness
from support.waiting import until


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


def test_an_order_is_started_built_and_reported():
    harness = RunnerHarness()
    harness.deliver(assignment())
    [report] = harness.until(e.AttemptFinished)
    assert (report.job_id, report.attempt, report.outcome) == ("q.1", 1, Outcome.SUCCESS)
    assert len(harness.of(e.AttemptStarted)) == 1
    assert harness.of(e.RunnerSeen)[-1].attempts == ()


def test_an_order_read_again_and_an_order_for_another_runner_start_nothing():
    harness = RunnerHarness()
    harness.deliver(assignment())
    harness.until(e.AttemptFinished)
    harness.deliver(assignment(), assignment(2, runner="r2"))
    harness.deliver(assignment())
    assert len(harness.of(e.AttemptStarted)) == 1


def test_a_later_attempt_of_the_same_job_is_built():
    harness = RunnerHarness()
    harness.deliver(assignment())
    harness.until(e.AttemptFinished)
    harness.deliver(assignment(attempt=2))
    assert [report.attempt for report in harness.until(e.AttemptFinished, 2)] == [1, 2]


def test_the_settings_of_the_runner_limit_every_attempt():
    build = Until(Flag())
    build.go.set()
    harness = RunnerHarness(build, limits=Limits(memory=123))
    harness.deliver(assignment())
    harness.until(e.AttemptFinished)
    assert build.limits == Limits(memory=123)


def test_heartbeats_list_what_is_held_and_come_at_each_change():
    build = Until(Flag())
    harness = RunnerHarness(build, slots=2)
    harness.deliver()
    harness.deliver(assignment(1), assignment(2))
    assert len(harness.of(e.RunnerSeen)) == 2
    assert {held.job_id for held in harness.of(e.RunnerSeen)[-1].attempts} == {"q.1", "q.2"}
    harness.deliver()
    assert len(harness.of(e.RunnerSeen)) == 2
    harness.now += 3
    harness.deliver()
    assert len(harness.of(e.RunnerSeen)) == 3
    build.go.set()
    harness.until(e.AttemptFinished, 2)


def test_a_revoked_attempt_ends_canceled():
    harness = RunnerHarness(Until(Flag()))
    harness.deliver(assignment())
    harness.deliver(e.JobRevoked(job_id="q.1", attempt=1, runner_id="r1", reason="canceled"))
    assert harness.until(e.AttemptFinished)[0].outcome is Outcome.CANCELED


def test_the_live_log_goes_out_while_the_build_runs():
    harness = RunnerHarness(Until(Flag()))
    harness.deliver(assignment())
    [piece] = harness.until(e.LogAppended)
    assert (piece.text, piece.offset) == ("hello\n", 0)
    harness.stop()


def test_a_runner_told_to_stop_hands_its_jobs_back():
    harness = RunnerHarness(Until(Flag()))
    harness.deliver(assignment())
    harness.stop()
    [report] = harness.of(e.AttemptFinished)
    assert (report.outcome, report.code) == (Outcome.ERROR, "runner-stopped")
    said = [type(event) for event in harness.emitted]
    assert said.index(e.RunnerDraining) < said.index(e.AttemptFinished), "or the scheduler hands it to us again"
    assert list(harness.state.find("held")) == []


def test_a_runner_that_was_killed_says_what_it_lost_when_it_comes_back():
    build = Until(Flag())
    before = RunnerHarness(build)
    before.deliver(assignment())
    after = RunnerHarness(state=before.state)
    assert after.builder.sweeps == 1
    after.deliver()
    [report] = after.of(e.AttemptFinished)
    assert (report.outcome, report.code, report.attempt) == (Outcome.ERROR, "runner-restarted", 1)
    after.deliver(assignment())
    assert after.of(e.AttemptStarted) == []
    build.go.set()


def test_a_runner_out_of_touch_for_a_lease_stops_its_builds():
    harness = RunnerHarness(Until(Flag()))
    harness.deliver(assignment())
    heard = harness.now
    harness.now += 13
    harness.deliver(broker_seen=heard)
    [report] = harness.until(e.AttemptFinished)
    assert (report.outcome, report.code) == (Outcome.ERROR, "lost-broker")


def test_a_log_faster_than_its_readers_loses_its_middle_and_says_where():
    log = LiveLog()
    log.write(b"a" * 10)
    log.write(b"b" * BACKLOG_BYTES)
    [first, *_] = list(log.take("j", 1))
    assert first.offset == 10
    assert first.text.startswith("b")
    rest = "".join(piece.text for piece in log.flush("j", 1))
    assert len(first.text) + len(rest) == BACKLOG_BYTES


def test_an_order_revoked_before_it_began_never_begins():
    harness = RunnerHarness()
    harness.deliver(assignment(), e.JobRevoked(job_id="q.1", attempt=1, runner_id="r1", reason="canceled"))
    harness.deliver()
    [report] = harness.of(e.AttemptFinished)
    assert (report.outcome, harness.of(e.AttemptStarted)) == (Outcome.CANCELED, [])
    assert harness.of(e.RunnerSeen)[-1].attempts == ()


def test_a_new_attempt_waits_for_the_end_of_the_old_one_of_the_same_job():
    let_go = Flag()
    build = Until(let_go)
    harness = RunnerHarness(lambda order, log, cancel: build(order, log, Flag()), slots=2)
    harness.deliver(assignment())
    harness.deliver(e.JobRevoked(job_id="q.1", attempt=1, runner_id="r1", reason="silent"), assignment(attempt=2))
    assert [started.attempt for started in harness.of(e.AttemptStarted)] == [1]
    let_go.set()
    assert [report.attempt for report in harness.until(e.AttemptFinished, 2)] == [1, 2]
    harness.deliver(assignment(attempt=2))
    assert len(harness.of(e.AttemptStarted)) == 2
    assert list(harness.state.find("held")) == []


def test_the_order_of_a_running_second_attempt_read_again_starts_nothing():
    endless = Until(Flag())
    harness = RunnerHarness(
        lambda order, log, cancel: Outcome.SUCCESS if order.attempt == 1 else endless(order, log, cancel), slots=2
    )
    harness.deliver(assignment())
    harness.until(e.AttemptFinished)
    harness.deliver(assignment(attempt=2))
    harness.deliver(assignment(attempt=2))
    assert [started.attempt for started in harness.of(e.AttemptStarted)] == [1, 2]
    assert len(harness.of(e.RunnerSeen)[-1].attempts) == 1
    harness.stop()


def test_a_transaction_that_is_done_again_starts_and_loses_nothing():
    go = Flag()
    harness = RunnerHarness(Until(go), slots=2)
    harness.roll_back(assignment())
    harness.deliver(assignment())
    harness.now += 10.0
    harness.deliver()
    assert len(harness.of(e.RunnerSeen)[-1].attempts) == 1
    go.set()
    until(lambda: any(isinstance(event, e.AttemptFinished) for event in harness.roll_back()), "the build ends")
    harness.deliver()
    assert [report.outcome for report in harness.of(e.AttemptFinished)] == [Outcome.SUCCESS]
    harness.deliver()
    assert len(harness.of(e.AttemptFinished)) == 1


def test_what_is_done_is_forgotten_after_some_time():
    harness = RunnerHarness()
    for number in range(3):
        harness.deliver(assignment(number))
        harness.until(e.AttemptFinished, number + 1)
        harness.now += 30 * 86400
    assert len(list(harness.state.find("done"))) == 1
