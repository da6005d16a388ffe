"""Tests of the scheduler with faults: jobs that take down runners, runners in error, deadlines."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome, RequestOutcome
from cloud_builder.planning.attempt import quarantine
from cloud_builder.planning.attempt.transitions import RUNNER_RESTARTED
from support.factories import unit
from support.scheduler_harness import SchedulerHarness

MANY = [unit(f"u{number}") for number in range(12)]


def harness_with(*requested, runners=("r1", "r2"), **more):
    harness = SchedulerHarness(runners=runners, **more)
    harness.deliver(*harness.heartbeats(), harness.snapshot(*MANY), harness.request(*requested))
    return harness


def report_started(harness, assignment):
    harness.deliver(
        e.AttemptStarted(
            job_id=assignment.job_id, attempt=assignment.attempt, runner_id=assignment.runner_id, started_at=harness.now
        )
    )


def assigned(harness):
    return [assignment for assignments in harness.assignments.values() for assignment in assignments]


def lose_runner(harness, assignment, *, is_reported=True):
    """Kills the runner of an assignment and starts it again.

    `is_reported`: the new incarnation reports the lost attempt; otherwise only its heartbeat shows the loss."""
    report_started(harness, assignment)
    harness.now += 1
    name = assignment.runner_id
    harness.assignments[name].remove(assignment)
    harness.incarnations[name] = harness.now
    reported = [harness.report(assignment, Outcome.ERROR, code=RUNNER_RESTARTED, message=f"runner {name} was lost")]
    harness.deliver(*(reported if is_reported else [harness.seen(name)]))
    harness.wait(10)


def lose_runner_with_all(harness, name):
    """Kills a runner with all that it builds, and starts it again."""
    for assignment in harness.assignments[name]:
        report_started(harness, assignment)
    harness.now += 1
    harness.incarnations[name] = harness.now
    lost, harness.assignments[name] = harness.assignments[name], []
    harness.deliver(
        *(harness.report(assignment, Outcome.ERROR, code=RUNNER_RESTARTED, message="lost") for assignment in lost)
    )


# --- poison -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_reported", [True, False], ids=["reported", "seen by its heartbeat"])
def test_job_that_loses_two_runners_is_a_poison_job(is_reported):
    harness = harness_with("u0")
    first = assigned(harness)[0]
    lose_runner(harness, first, is_reported=is_reported)
    second = assigned(harness)[0]
    assert {first.runner_id, second.runner_id} == {"r1", "r2"}
    lose_runner(harness, second, is_reported=is_reported)
    [job] = harness.result().jobs
    assert (job.outcome, job.code) == (Outcome.FAILURE, "poison")
    assert f"{first.runner_id} (attempt 1), {second.runner_id} (attempt 2)" in job.message
    assert len(harness.starts) == 2


def test_report_and_heartbeat_of_the_same_loss_count_once():
    harness = harness_with("u0")
    assignment = assigned(harness)[0]
    report_started(harness, assignment)
    harness.assignments[assignment.runner_id].clear()
    harness.incarnations[assignment.runner_id] = 2000.0
    loss = harness.report(assignment, Outcome.ERROR, code=RUNNER_RESTARTED, message="lost")
    harness.deliver(harness.seen(assignment.runner_id), loss, harness.seen(assignment.runner_id), loss)
    harness.wait(5)
    harness.finish_all()
    assert harness.outcomes() == {"p/u0": "success"}


def freeze(harness, seconds):
    """Keeps the runner of the only assignment silent for so many seconds."""
    [assignment] = assigned(harness)
    report_started(harness, assignment)
    incarnation = harness.incarnations.pop(assignment.runner_id)
    harness.wait(seconds)
    harness.assignments[assignment.runner_id] = []
    harness.incarnations[assignment.runner_id] = incarnation
    return assignment


def test_silent_runners_that_come_back_are_no_loss():
    harness = harness_with("u0", max_errors=50)
    for _ in range(4):
        freeze(harness, 15)
        harness.wait(40)
    harness.finish_all()
    assert harness.outcomes() == {"p/u0": "success"}


def test_job_of_two_silent_runners_fails_before_a_third_one_gets_it():
    harness = harness_with("u0", runners=("r1", "r2", "r3"), max_errors=50)
    for _ in range(2):
        [assignment] = assigned(harness)
        report_started(harness, assignment)
        del harness.incarnations[assignment.runner_id]
        harness.assignments[assignment.runner_id] = []
        harness.wait(20)
    assert harness.events_of(e.JobFinished) == []
    harness.wait(30)
    assert [(job.code, len(harness.starts)) for job in harness.result().jobs] == [("poison", 2)]
    [hold] = [event.hold for event in harness.events_of(e.JobQueued) if event.hold]
    assert (hold.kind, hold.lost_runners) == (e.HoldKind.SUSPECTED_LOSS, ("r1", "r2"))


def test_jobs_beside_a_poison_job_succeed():
    harness = harness_with(*(f"u{number}" for number in range(6)), runners=("r1", "r2"), slots=3)
    for _ in range(20):
        if any(job.code for job in harness.events_of(e.JobFinished)):
            break
        victim = next((assignment for assignment in assigned(harness) if assignment.name == "u0"), None)
        if victim is None:
            other = assigned(harness)[0]
            harness.assignments[other.runner_id].remove(other)
            harness.deliver(harness.report(other))
        else:
            lose_runner_with_all(harness, victim.runner_id)
        harness.wait(4)
    for _ in range(20):
        harness.finish_all()
        harness.wait(10)
    assert harness.outcomes() == {"p/u0": "failure", **{f"p/u{number}": "success" for number in range(1, 6)}}


def test_duplicate_of_a_poison_job_fails_without_an_attempt():
    harness = harness_with("u0")
    harness.deliver(harness.request("u0", id="duplicate"))
    for _ in range(2):
        lose_runner(harness, assigned(harness)[0])
    assert [job.code for job in (*harness.result().jobs, *harness.result("duplicate").jobs)] == ["poison", "poison"]
    assert len(harness.starts) == 2


def test_restarted_scheduler_still_counts_runner_losses():
    harness = harness_with("u0")
    for _ in range(2):
        [assignment] = assigned(harness)
        report_started(harness, assignment)
        harness.boot()
        harness.deliver()
        harness.wait(8)
        lost = harness.assignments[assignment.runner_id].pop()
        harness.incarnations[assignment.runner_id] = harness.now
        harness.deliver(harness.report(lost, Outcome.ERROR, code=RUNNER_RESTARTED, message="lost"))
        harness.wait(10)
    assert [job.code for job in harness.result().jobs] == ["poison"]


# --- quarantine -------------------------------------------------------------------------------------------------------


def report_error(harness, name):
    harness.now += 0.5
    harness.deliver(
        harness.report(harness.assignments[name].pop(0), Outcome.ERROR, code="machine", message="No space left")
    )


def enter_quarantine(harness, name):
    for _ in range(10):
        if harness.events_of(e.RunnerQuarantined):
            return
        for _ in tuple(harness.assignments[name]):
            report_error(harness, name)
        harness.wait(5)
    raise AssertionError("the runner is still healthy")


def finish_all_but(harness, bad):
    """Lets `bad` report errors and all other runners finish their jobs, for a minute."""
    for _ in range(60):
        for name in list(harness.assignments):
            while harness.assignments[name]:
                if name == bad:
                    report_error(harness, name)
                else:
                    harness.deliver(harness.report(harness.assignments[name].pop()))
        harness.wait(1)


def test_runner_with_repeated_errors_is_quarantined_with_the_reason():
    harness = harness_with(*(f"u{number}" for number in range(12)), max_errors=50)
    finish_all_but(harness, bad="r1")
    assert set(harness.outcomes().values()) == {"success"}
    [first, *_] = harness.events_of(e.RunnerQuarantined)
    assert (first.runner_id, first.reason) == ("r1", "its last 3 jobs ended in error: No space left")
    assert first.until == first.at + quarantine.FIRST_QUARANTINE
    assert len([assignment for assignment in harness.events_of(e.JobAssigned) if assignment.runner_id == "r1"]) <= 5


def test_success_of_the_probe_job_ends_the_quarantine():
    harness = harness_with(*(f"u{number}" for number in range(12)), runners=("r1",), slots=4, max_errors=50)
    enter_quarantine(harness, "r1")
    while harness.assignments["r1"]:
        report_error(harness, "r1")
    before, until = len(harness.starts), harness.events_of(e.RunnerQuarantined)[-1].until
    harness.wait(until - harness.now - 1)
    assert len(harness.starts) == before
    harness.wait(5)
    assert len(harness.assignments["r1"]) == 1
    harness.deliver(harness.report(harness.assignments["r1"].pop()))
    assert harness.events_of(e.RunnerQuarantined)[-1].reason == ""
    assert len(harness.assignments["r1"]) == 4
    harness.finish_all()
    assert set(harness.outcomes().values()) == {"success"}


def harness_with_probe():
    """Returns a harness in which r1 has its probe job, and r2 has work for long."""
    harness = harness_with(*(f"u{number}" for number in range(12)), runners=("r1", "r2"), max_errors=50)
    enter_quarantine(harness, "r1")
    harness.deliver(e.BuildCancelRequested(request_id="q"))
    harness.assignments["r2"].clear()
    harness.slots = 4
    harness.wait(quarantine.FIRST_QUARANTINE)
    harness.deliver(harness.request(*(f"u{number}" for number in range(5)), id="busy"))
    assert list(map(len, harness.assignments.values())) == [1, 4]
    return harness


def test_revoked_probe_job_is_followed_by_the_next_one_at_once():
    harness = harness_with_probe()
    [probe] = harness.assignments["r1"]
    emitted = harness.deliver(e.BuildCancelRequested(request_id="busy"))
    assert (probe.job_id, "r1") in {
        (event.job_id, event.runner_id) for event in emitted if isinstance(event, e.JobRevoked)
    }
    del harness.incarnations["r2"]
    harness.assignments["r1"].clear()
    harness.wait(15)
    harness.deliver(harness.request("u11", id="next"))
    assert [assignment.unit for assignment in harness.assignments["r1"]] == ["p/u11"]
    harness.finish_all()
    assert harness.events_of(e.RunnerQuarantined)[-1].reason == ""


@pytest.mark.parametrize(
    ("started", "outcome", "is_healthy"),
    [(-1.0, Outcome.SUCCESS, True), (-1000.0, Outcome.SUCCESS, False), (-1.0, Outcome.CANCELED, False)],
    ids=["success", "success before the last error", "stopped"],
)
def test_success_of_a_canceled_probe_job_ends_the_quarantine(started, outcome, is_healthy):
    harness = harness_with_probe()
    [probe] = harness.assignments["r1"]
    harness.deliver(e.BuildCancelRequested(request_id="busy"))
    report = harness.report(probe, outcome).model_copy(update={"started_at": harness.now + started})
    harness.deliver(report)
    assert (harness.events_of(e.RunnerQuarantined)[-1].reason == "") is is_healthy
    assert harness.outcomes("busy")[probe.unit] == "canceled"


def test_job_goes_to_a_healthy_runner_with_a_free_slot():
    harness = harness_with_probe()
    harness.deliver(e.BuildCancelRequested(request_id="busy"))
    for assignments in harness.assignments.values():
        assignments.clear()
    harness.wait(1)
    harness.deliver(harness.request("u11", id="next"))
    assert [assignment.unit for assignment in harness.assignments["r2"]] == ["p/u11"]


def test_jobs_are_reported_as_blocked_when_all_runners_are_quarantined():
    harness = harness_with(*(f"u{number}" for number in range(6)), runners=("r1",), max_errors=50)
    enter_quarantine(harness, "r1")
    harness.wait(20)
    emitted = {event.job_id for event in harness.events_of(e.JobBlocked) if "quarantined (r1)" in event.reason}
    assert len(emitted) == 6


def test_quarantine_survives_a_restart_of_the_scheduler():
    harness = harness_with(*(f"u{number}" for number in range(6)), runners=("r1",), max_errors=50)
    enter_quarantine(harness, "r1")
    harness.boot()
    before = len(harness.starts)
    harness.wait(15)
    assert len(harness.starts) == before
    assert [event.reason for event in harness.republish() if isinstance(event, e.RunnerQuarantined)] != []


# --- deadlines --------------------------------------------------------------------------------------------------------


def test_unfinished_jobs_are_canceled_and_revoked_at_the_deadline():
    harness = SchedulerHarness()
    harness.deliver(*harness.heartbeats(), harness.snapshot(*MANY), harness.request("u0", "u1", "u2", deadline=60.0))
    harness.deliver(harness.report(harness.assignments["r1"].pop()))
    harness.wait(58)
    assert harness.events_of(e.RequestFinished) == []
    harness.wait(3)
    result = harness.result()
    assert (result.outcome, result.code, result.message) == (
        RequestOutcome.CANCELED,
        "deadline",
        "deadline of 60 s passed",
    )
    assert sorted(job.code for job in result.jobs) == ["", "deadline", "deadline"]
    assert [revoked.reason for revoked in harness.events_of(e.JobRevoked)] == ["deadline of 60 s passed"]


def test_deadline_does_not_change_a_finished_request():
    harness = SchedulerHarness()
    harness.deliver(*harness.heartbeats(), harness.snapshot(*MANY), harness.request("u0", deadline=60.0))
    harness.finish_all()
    harness.wait(120)
    assert harness.result().outcome is RequestOutcome.SUCCESS


def test_waiting_reports_are_handled_before_a_deadline_is_checked():
    harness = SchedulerHarness()
    harness.deliver(*harness.heartbeats(), harness.snapshot(*MANY), harness.request("u0", deadline=60.0))
    harness.now += 90
    harness.deliver(harness.report(harness.assignments["r1"].pop()))
    assert harness.result().outcome is RequestOutcome.SUCCESS


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("ahead", [3600.0, 86400.0])
def test_deadline_from_a_clock_that_was_ahead_counts_from_now(ahead, restart):
    harness = SchedulerHarness()
    request = harness.request("u0", deadline=60.0).model_copy(update={"accepted_at": harness.now + ahead})
    harness.deliver(*harness.heartbeats(), harness.snapshot(*MANY), request)
    if restart:
        harness.boot()
    harness.wait(50)
    assert harness.events_of(e.RequestFinished) == []
    harness.wait(15)
    assert harness.result().code == "deadline"


# --- deleted units ----------------------------------------------------------------------------------------------------


def dependencies_in_another_source(harness, *requested):
    """Returns the dependencies that a unit of another source gets, which build-depends on u0."""
    harness.deliver(harness.snapshot(unit("app", "u0"), source="other"))
    harness.deliver(harness.request("app", id=f"o{len(harness.starts)}", source="other"))
    return [artifact.package.name for artifact in harness.events_of(e.JobAssigned)[-1].dependencies]


def test_packages_of_a_deleted_unit_are_no_dependencies():
    harness = SchedulerHarness()
    harness.deliver(*harness.heartbeats(), harness.snapshot(*MANY), harness.request("u0", publish=True))
    harness.finish_all()
    assert list(harness.state.find("published-packages", parent="s"))
    harness.deliver(harness.snapshot(*MANY[1:], revision="b"))
    assert list(harness.state.find("published-packages")) == []
    assert dependencies_in_another_source(harness) == []


def test_packages_of_a_unit_deleted_during_its_build_are_not_stored():
    harness = SchedulerHarness()
    harness.deliver(*harness.heartbeats(), harness.snapshot(*MANY), harness.request("u0", publish=True))
    harness.deliver(harness.snapshot(*MANY[1:], revision="b"))
    harness.finish_all()
    assert list(harness.state.find("published-packages")) == []


# --- random sequences -------------------------------------------------------------------------------------------------

STEPS = ("finish", "error", "kill", "kill unseen", "freeze", "replay", "boot", "wait")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_results_count_once_and_only_runner_losses_make_poison_jobs(data):
    harness = SchedulerHarness(runners=("r1", "r2"), max_errors=1000)
    sent = [harness.snapshot(*MANY), harness.request("u0", "u1", "u2", "u3")]
    harness.deliver(*harness.heartbeats(), *sent)
    losses = dict.fromkeys(("q.1", "q.2", "q.3", "q.4"), 0)
    for _ in range(data.draw(st.integers(0, 25))):
        step, name = data.draw(st.sampled_from(STEPS)), data.draw(st.sampled_from(["r1", "r2"]))
        if step == "replay":
            harness.deliver(*data.draw(st.permutations(sent)))
        elif step == "boot":
            harness.boot()
        elif step == "wait":
            harness.wait(data.draw(st.sampled_from([1, 5, 40])))
        elif harness.assignments[name] and name in harness.incarnations:
            assignment = harness.assignments[name][0]
            report_started(harness, assignment)
            if step == "freeze":
                incarnation = harness.incarnations.pop(name)
                harness.wait(data.draw(st.sampled_from([5, 15])))
                harness.incarnations[name] = incarnation
                revoked = {(event.job_id, event.attempt) for event in harness.events_of(e.JobRevoked)}
                harness.assignments[name] = [
                    assignment
                    for assignment in harness.assignments[name]
                    if (assignment.job_id, assignment.attempt) not in revoked
                ]
            elif step in ("finish", "error"):
                outcome = Outcome.SUCCESS if step == "finish" else Outcome.ERROR
                sent.append(
                    harness.report(harness.assignments[name].pop(0), outcome, code="" if outcome == "success" else "x")
                )
                harness.deliver(sent[-1])
            else:
                losses[assignment.job_id] += 1
                harness.now += 1
                harness.assignments[name].clear()
                harness.incarnations[name] = harness.now
                sent.append(harness.report(assignment, Outcome.ERROR, code=RUNNER_RESTARTED, message="lost"))
                harness.deliver(sent[-1] if step == "kill" else harness.seen(name))
    for _ in range(80):
        harness.finish_all()
        harness.wait(30)
    finished = {event.job_id: event for event in harness.events_of(e.JobFinished)}
    assert len(harness.events_of(e.JobFinished)) == len(finished) == 4
    assert len(harness.events_of(e.RequestFinished)) == 1
    for job_id, job in finished.items():
        assert (job.code == "poison") == (losses[job_id] >= 2), (job, losses)
        assert job.outcome in (Outcome.SUCCESS, Outcome.FAILURE)
