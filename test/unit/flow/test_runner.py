"""cb-runner: assignments, revocations, stop, and restart after a crash."""

from dataclasses import dataclass
from threading import Event as Flag

from cloud_builder.flow.runner.attempt_journal import ASSIGNMENTS, RESULTS
from cloud_builder.flow.runner.livelog import BACKLOG_BYTES, LiveLog
from cloud_builder.model import events as e
from cloud_builder.model.limits import Limits
from cloud_builder.model.outcome import Outcome
from support.factories import assignment
from support.runner_harness import RunnerHarness
from support.waiting import LIMIT, until


@dataclass
class BlockedBuild:
    """A build that runs until `go` is set or it is canceled."""

    go: Flag
    limits: Limits | None = None

    def __call__(self, assigned, log, cancel):
        self.limits = assigned.limits
        log(b"hello\n")
        while not self.go.wait(0.005):
            if cancel.is_set():
                return Outcome.CANCELED
        return Outcome.SUCCESS


def test_assignment_is_started_built_and_reported():
    harness = RunnerHarness()
    harness.deliver(assignment())
    [report] = harness.until(e.AttemptFinished)
    assert (report.job_id, report.attempt, report.outcome) == ("q.1", 1, Outcome.SUCCESS)
    assert len(harness.of(e.AttemptStarted)) == 1
    assert harness.of(e.RunnerSeen)[-1].attempts == ()


def test_repeated_and_foreign_assignments_start_nothing():
    harness = RunnerHarness()
    harness.deliver(assignment())
    harness.until(e.AttemptFinished)
    harness.deliver(assignment(), assignment(2, runner="r2"))
    harness.deliver(assignment())
    assert len(harness.of(e.AttemptStarted)) == 1


def test_later_attempt_of_the_same_job_is_built():
    harness = RunnerHarness()
    harness.deliver(assignment())
    harness.until(e.AttemptFinished)
    harness.deliver(assignment(attempt=2))
    assert [report.attempt for report in harness.until(e.AttemptFinished, 2)] == [1, 2]


def test_limits_of_the_runner_apply_to_every_attempt():
    build = BlockedBuild(Flag())
    build.go.set()
    harness = RunnerHarness(build, limits=Limits(memory=123))
    harness.deliver(assignment())
    harness.until(e.AttemptFinished)
    assert build.limits == Limits(memory=123)


def test_heartbeat_lists_the_attempts_and_follows_each_change():
    build = BlockedBuild(Flag())
    harness = RunnerHarness(build, slots=2)
    harness.deliver()
    harness.deliver(assignment(1), assignment(2))
    assert len(harness.of(e.RunnerSeen)) == 2
    assert {attempt.job_id for attempt in harness.of(e.RunnerSeen)[-1].attempts} == {"q.1", "q.2"}
    harness.deliver()
    assert len(harness.of(e.RunnerSeen)) == 2
    harness.now += 3
    harness.deliver()
    assert len(harness.of(e.RunnerSeen)) == 3
    build.go.set()
    harness.until(e.AttemptFinished, 2)


def test_revoked_attempt_ends_canceled():
    harness = RunnerHarness(BlockedBuild(Flag()))
    harness.deliver(assignment())
    harness.deliver(e.JobRevoked(job_id="q.1", attempt=1, runner_id="r1", reason="canceled"))
    assert harness.until(e.AttemptFinished)[0].outcome is Outcome.CANCELED


def test_live_log_is_emitted_while_the_build_runs():
    harness = RunnerHarness(BlockedBuild(Flag()))
    harness.deliver(assignment())
    [piece] = harness.until(e.LogAppended)
    assert (piece.text, piece.offset) == ("hello\n", 0)
    harness.stop()


def test_stopped_runner_releases_its_jobs():
    harness = RunnerHarness(BlockedBuild(Flag()))
    harness.deliver(assignment())
    harness.stop()
    [report] = harness.of(e.AttemptFinished)
    assert (report.outcome, report.code) == (Outcome.ERROR, "runner-stopped")
    types = [type(event) for event in harness.emitted]
    draining, finished = types.index(e.RunnerDraining), types.index(e.AttemptFinished)
    assert draining < finished, "otherwise the scheduler assigns the job to this runner again"
    assert list(harness.state.find(ASSIGNMENTS)) == []


def test_restarted_runner_reports_the_attempts_that_it_lost():
    build = BlockedBuild(Flag())
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


def test_runner_without_a_broker_for_a_lease_stops_its_builds():
    harness = RunnerHarness(BlockedBuild(Flag()))
    harness.deliver(assignment())
    seen = harness.now
    harness.now += 13
    harness.deliver(broker_seen=seen)
    [report] = harness.until(e.AttemptFinished)
    assert (report.outcome, report.code) == (Outcome.ERROR, "lost-broker")


def test_live_log_that_is_too_fast_loses_its_oldest_bytes():
    log = LiveLog()
    log.write(b"a" * 10)
    log.write(b"b" * BACKLOG_BYTES)
    [first, *_] = list(log.take("j", 1))
    assert first.offset == 10
    assert first.text.startswith("b")
    rest = "".join(piece.text for piece in log.flush("j", 1))
    assert len(first.text) + len(rest) == BACKLOG_BYTES


def test_assignment_revoked_before_its_start_never_starts():
    harness = RunnerHarness()
    harness.deliver(assignment(), e.JobRevoked(job_id="q.1", attempt=1, runner_id="r1", reason="canceled"))
    harness.deliver()
    [report] = harness.of(e.AttemptFinished)
    assert (report.outcome, harness.of(e.AttemptStarted)) == (Outcome.CANCELED, [])
    assert harness.of(e.RunnerSeen)[-1].attempts == ()


def test_new_attempt_waits_for_the_end_of_the_old_one_of_its_job():
    go = Flag()
    build = BlockedBuild(go)
    harness = RunnerHarness(lambda assigned, log, cancel: build(assigned, log, Flag()), slots=2)
    harness.deliver(assignment())
    harness.deliver(e.JobRevoked(job_id="q.1", attempt=1, runner_id="r1", reason="silent"), assignment(attempt=2))
    assert [started.attempt for started in harness.of(e.AttemptStarted)] == [1]
    go.set()
    assert [report.attempt for report in harness.until(e.AttemptFinished, 2)] == [1, 2]
    harness.deliver(assignment(attempt=2))
    assert len(harness.of(e.AttemptStarted)) == 2
    assert list(harness.state.find(ASSIGNMENTS)) == []


def test_repeated_assignment_of_a_running_second_attempt_starts_nothing():
    endless = BlockedBuild(Flag())
    harness = RunnerHarness(
        lambda assigned, log, cancel: Outcome.SUCCESS if assigned.attempt == 1 else endless(assigned, log, cancel),
        slots=2,
    )
    harness.deliver(assignment())
    harness.until(e.AttemptFinished)
    harness.deliver(assignment(attempt=2))
    harness.deliver(assignment(attempt=2))
    assert [started.attempt for started in harness.of(e.AttemptStarted)] == [1, 2]
    assert len(harness.of(e.RunnerSeen)[-1].attempts) == 1
    harness.stop()


def test_repeated_transaction_starts_and_loses_nothing():
    go = Flag()
    harness = RunnerHarness(BlockedBuild(go), slots=2)
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


def test_old_results_are_pruned():
    harness = RunnerHarness()
    for number in range(3):
        harness.deliver(assignment(number))
        harness.until(e.AttemptFinished, number + 1)
        harness.now += 30 * 86400
    assert len(list(harness.state.find(RESULTS))) == 1


def test_finished_build_is_reported_by_a_runner_that_stops(monkeypatch):
    monkeypatch.setattr("cloud_builder.flow.runner.flow.STOP_SECONDS", LIMIT)
    finished = Flag()

    def build(assigned, log, cancel):
        finished.set()
        return Outcome.FAILURE

    harness = RunnerHarness(build, slots=2)
    harness.deliver(assignment())
    assert finished.wait(LIMIT)
    harness.stop()
    [report] = harness.of(e.AttemptFinished)
    assert report.outcome is Outcome.FAILURE
    assert list(harness.state.find(ASSIGNMENTS)) == []


def test_queued_assignments_are_released_by_a_runner_that_stops():
    harness = RunnerHarness(BlockedBuild(Flag()), slots=1)
    harness.deliver(assignment(1), assignment(2))
    harness.stop()
    assert {(report.job_id, report.code) for report in harness.of(e.AttemptFinished)} == {
        ("q.1", "runner-stopped"),
        ("q.2", "runner-stopped"),
    }
    assert list(harness.state.find(ASSIGNMENTS)) == []
