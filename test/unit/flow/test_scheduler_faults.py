"""What the scheduler does when jobs take down runners, runners err, and time runs out."""

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


def harness_with(*wanted, runners=("r1", "r2"), **more):
    harness = SchedulerHarness(runners=runners, **more)
    harness.deliver(*harness.heartbeats(), harness.snapshot(*MANY), harness.request(*wanted))
    return harness


def begin(harness, order):
    harness.deliver(
        e.AttemptStarted(job_id=order.job_id, attempt=order.attempt, runner_id=order.runner_id, started_at=harness.now)
    )


def held(harness):
    return [order for orders in harness.holding.values() for order in orders]


def die(harness, order, *, confess=True):
    """The runner of an order is killed and comes back."""
    begin(harness, order)
    harness.now += 1
    name = order.runner_id
    harness.holding[name].remove(order)
    harness.lives[name] = harness.now
    said = [
        harness.report(order, Outcome.ERROR, code=RUNNER_RESTARTED, message=f"runner {name} died while it built this")
    ]
    harness.deliver(*(said if confess else [harness.seen(name)]))
    harness.wait(10)


def all_die(harness, name):
    """A runner is killed with all that it builds, and comes back."""
    for order in harness.holding[name]:
        begin(harness, order)
    harness.now += 1
    harness.lives[name] = harness.now
    gone, harness.holding[name] = harness.holding[name], []
    harness.deliver(*(harness.report(order, Outcome.ERROR, code=RUNNER_RESTARTED, message="died") for order in gone))


# --- poison -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confess", [True, False], ids=["it says so itself", "only its new life is seen"])
def test_a_job_that_takes_down_two_runners_is_a_failure(confess):
    harness = harness_with("u0")
    first = held(harness)[0]
    die(harness, first, confess=confess)
    second = held(harness)[0]
    assert {first.runner_id, second.runner_id} == {"r1", "r2"}
    die(harness, second, confess=confess)
    [job] = harness.result().jobs
    assert (job.outcome, job.code) == (Outcome.FAILURE, "poison")
    assert f"{first.runner_id} (attempt 1), {second.runner_id} (attempt 2)" in job.message
    assert len(harness.starts) == 2


def test_a_confession_and_a_heartbeat_of_the_same_death_count_once():
    harness = harness_with("u0")
    order = held(harness)[0]
    begin(harness, order)
    harness.holding[order.runner_id].clear()
    harness.lives[order.runner_id] = 2000.0
    died = harness.report(order, Outcome.ERROR, code=RUNNER_RESTARTED, message="died")
    harness.deliver(harness.seen(order.runner_id), died, harness.seen(order.runner_id), died)
    harness.wait(5)
    harness.work_off()
    assert harness.outcomes() == {"p/u0": "success"}


def freeze(harness, seconds):
    """The runner of the only order says nothing for so long."""
    [order] = held(harness)
    begin(harness, order)
    life = harness.lives.pop(order.runner_id)
    harness.wait(seconds)
    harness.holding[order.runner_id] = []
    harness.lives[order.runner_id] = life
    return order


def test_frozen_runners_that_come_back_did_not_die_of_it():
    harness = harness_with("u0", max_errors=50)
    for _ in range(4):
        freeze(harness, 15)
        harness.wait(40)
    harness.work_off()
    assert harness.outcomes() == {"p/u0": "success"}


def test_two_runners_that_stay_silent_make_a_job_a_failure_before_a_third_one_gets_it():
    harness = harness_with("u0", runners=("r1", "r2", "r3"), max_errors=50)
    for _ in range(2):
        [order] = held(harness)
        begin(harness, order)
        del harness.lives[order.runner_id]
        harness.holding[order.runner_id] = []
        harness.wait(20)
    assert harness.of(e.JobFinished) == []
    harness.wait(30)
    assert [(job.code, len(harness.starts)) for job in harness.result().jobs] == [("poison", 2)]
    [hold] = [event.hold for event in harness.of(e.JobQueued) if event.hold]
    assert (hold.kind, hold.lost_runners) == (e.HoldKind.SUSPECTED_LOSS, ("r1", "r2"))


def test_of_the_jobs_that_ran_beside_it_none_is_blamed_with_it():
    harness = harness_with(*(f"u{number}" for number in range(6)), runners=("r1", "r2"), slots=3)
    for _ in range(20):
        if any(verdict.code for verdict in harness.of(e.JobFinished)):
            break
        victim = next((order for order in held(harness) if order.name == "u0"), None)
        if victim is None:
            other = held(harness)[0]
            harness.holding[other.runner_id].remove(other)
            harness.deliver(harness.report(other))
        else:
            all_die(harness, victim.runner_id)
        harness.wait(4)
    for _ in range(20):
        harness.work_off()
        harness.wait(10)
    assert harness.outcomes() == {"p/u0": "failure", **{f"p/u{number}": "success" for number in range(1, 6)}}


def test_another_request_for_the_same_inputs_does_not_take_down_more_runners():
    harness = harness_with("u0")
    harness.deliver(harness.request("u0", id="twin"))
    for _ in range(2):
        die(harness, held(harness)[0])
    assert [job.code for job in (*harness.result().jobs, *harness.result("twin").jobs)] == ["poison", "poison"]
    assert len(harness.starts) == 2


def test_a_restarted_scheduler_still_counts_deaths():
    harness = harness_with("u0")
    for _ in range(2):
        [order] = held(harness)
        begin(harness, order)
        harness.boot()
        harness.deliver()
        harness.wait(8)
        die_after_boot = harness.holding[order.runner_id].pop()
        harness.lives[order.runner_id] = harness.now
        harness.deliver(harness.report(die_after_boot, Outcome.ERROR, code=RUNNER_RESTARTED, message="died"))
        harness.wait(10)
    assert [job.code for job in harness.result().jobs] == ["poison"]


# --- trust ------------------------------------------------------------------------------------------------------------


def err(harness, name):
    harness.now += 0.5
    harness.deliver(
        harness.report(harness.holding[name].pop(0), Outcome.ERROR, code="machine", message="No space left")
    )


def set_aside(harness, name):
    for _ in range(10):
        if harness.of(e.RunnerQuarantined):
            return
        for _ in tuple(harness.holding[name]):
            err(harness, name)
        harness.wait(5)
    raise AssertionError("it is still trusted")


def worked_off(harness, bad):
    """`bad` errs, all others build, until nothing is held."""
    for _ in range(60):
        for name in list(harness.holding):
            while harness.holding[name]:
                if name == bad:
                    err(harness, name)
                else:
                    harness.deliver(harness.report(harness.holding[name].pop()))
        harness.wait(1)


def test_a_runner_that_errs_again_and_again_gets_no_more_work_and_is_told_why():
    harness = harness_with(*(f"u{number}" for number in range(12)), max_errors=50)
    worked_off(harness, bad="r1")
    assert set(harness.outcomes().values()) == {"success"}
    [first, *_] = harness.of(e.RunnerQuarantined)
    assert (first.runner_id, first.reason) == ("r1", "its last 3 jobs ended in error: No space left")
    assert first.until == first.at + quarantine.FIRST_QUARANTINE
    assert len([order for order in harness.of(e.JobAssigned) if order.runner_id == "r1"]) <= 5


def test_after_a_pause_it_gets_one_job_and_with_that_it_is_trusted_again():
    harness = harness_with(*(f"u{number}" for number in range(12)), runners=("r1",), slots=4, max_errors=50)
    set_aside(harness, "r1")
    while harness.holding["r1"]:
        err(harness, "r1")
    before, until = len(harness.starts), harness.of(e.RunnerQuarantined)[-1].until
    harness.wait(until - harness.now - 1)
    assert len(harness.starts) == before
    harness.wait(5)
    assert len(harness.holding["r1"]) == 1
    harness.deliver(harness.report(harness.holding["r1"].pop()))
    assert harness.of(e.RunnerQuarantined)[-1].reason == ""
    assert len(harness.holding["r1"]) == 4
    harness.work_off()
    assert set(harness.outcomes().values()) == {"success"}


def aside_with_a_canary():
    """r1, whose pause is over, has its one job; r2 has work for long."""
    harness = harness_with(*(f"u{number}" for number in range(12)), runners=("r1", "r2"), max_errors=50)
    set_aside(harness, "r1")
    harness.deliver(e.BuildCancelRequested(request_id="q"))
    harness.holding["r2"].clear()
    harness.slots = 4
    harness.wait(quarantine.FIRST_QUARANTINE)
    harness.deliver(harness.request(*(f"u{number}" for number in range(5)), id="busy"))
    assert list(map(len, harness.holding.values())) == [1, 4]
    return harness


def test_a_canary_that_is_revoked_makes_room_for_the_next_one_at_once():
    harness = aside_with_a_canary()
    [canary] = harness.holding["r1"]
    told = harness.deliver(e.BuildCancelRequested(request_id="busy"))
    assert (canary.job_id, "r1") in {(each.job_id, each.runner_id) for each in told if isinstance(each, e.JobRevoked)}
    del harness.lives["r2"]
    harness.holding["r1"].clear()
    harness.wait(15)
    harness.deliver(harness.request("u11", id="next"))
    assert [order.unit for order in harness.holding["r1"]] == ["p/u11"]
    harness.work_off()
    assert harness.of(e.RunnerQuarantined)[-1].reason == ""


@pytest.mark.parametrize(
    ("begun", "outcome", "is_trusted"),
    [(-1.0, Outcome.SUCCESS, True), (-1000.0, Outcome.SUCCESS, False), (-1.0, Outcome.CANCELED, False)],
    ids=["it went well", "before the last error", "it was stopped"],
)
def test_a_canary_that_ends_after_its_job_was_canceled_still_tells_about_its_runner(begun, outcome, is_trusted):
    harness = aside_with_a_canary()
    [canary] = harness.holding["r1"]
    harness.deliver(e.BuildCancelRequested(request_id="busy"))
    report = harness.report(canary, outcome).model_copy(update={"started_at": harness.now + begun})
    harness.deliver(report)
    assert (harness.of(e.RunnerQuarantined)[-1].reason == "") is is_trusted
    assert harness.outcomes("busy")[canary.unit] == "canceled"


def test_a_runner_that_is_set_aside_keeps_nobody_waiting_where_others_have_room():
    harness = aside_with_a_canary()
    harness.deliver(e.BuildCancelRequested(request_id="busy"))
    for orders in harness.holding.values():
        orders.clear()
    harness.wait(1)
    harness.deliver(harness.request("u11", id="next"))
    assert [order.unit for order in harness.holding["r2"]] == ["p/u11"]


def test_what_waits_for_runners_that_are_all_set_aside_says_so():
    harness = harness_with(*(f"u{number}" for number in range(6)), runners=("r1",), max_errors=50)
    set_aside(harness, "r1")
    harness.wait(20)
    told = {event.job_id for event in harness.of(e.JobBlocked) if "quarantined (r1)" in event.reason}
    assert len(told) == 6


def test_how_far_a_runner_is_trusted_survives_a_restart_of_the_scheduler():
    harness = harness_with(*(f"u{number}" for number in range(6)), runners=("r1",), max_errors=50)
    set_aside(harness, "r1")
    harness.boot()
    before = len(harness.starts)
    harness.wait(15)
    assert len(harness.starts) == before
    assert [event.reason for event in harness.republish() if isinstance(event, e.RunnerQuarantined)] != []


# --- deadlines --------------------------------------------------------------------------------------------------------


def test_what_is_not_over_at_the_deadline_is_canceled_and_its_runner_told():
    harness = SchedulerHarness()
    harness.deliver(*harness.heartbeats(), harness.snapshot(*MANY), harness.request("u0", "u1", "u2", deadline=60.0))
    harness.deliver(harness.report(harness.holding["r1"].pop()))
    harness.wait(58)
    assert harness.of(e.RequestFinished) == []
    harness.wait(3)
    result = harness.result()
    assert (result.outcome, result.code, result.message) == (
        RequestOutcome.CANCELED,
        "deadline",
        "deadline of 60 s passed",
    )
    assert sorted(job.code for job in result.jobs) == ["", "deadline", "deadline"]
    assert [revoked.reason for revoked in harness.of(e.JobRevoked)] == ["deadline of 60 s passed"]


def test_a_deadline_does_not_touch_what_ended_in_time():
    harness = SchedulerHarness()
    harness.deliver(*harness.heartbeats(), harness.snapshot(*MANY), harness.request("u0", deadline=60.0))
    harness.work_off()
    harness.wait(120)
    assert harness.result().outcome is RequestOutcome.SUCCESS


def test_reports_that_wait_to_be_read_are_read_before_anything_is_late():
    harness = SchedulerHarness()
    harness.deliver(*harness.heartbeats(), harness.snapshot(*MANY), harness.request("u0", deadline=60.0))
    harness.now += 90
    harness.deliver(harness.report(harness.holding["r1"].pop()))
    assert harness.result().outcome is RequestOutcome.SUCCESS


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("ahead", [3600.0, 86400.0])
def test_a_request_accepted_while_a_clock_was_ahead_has_its_time_from_now(ahead, restart):
    harness = SchedulerHarness()
    request = harness.request("u0", deadline=60.0).model_copy(update={"accepted_at": harness.now + ahead})
    harness.deliver(*harness.heartbeats(), harness.snapshot(*MANY), request)
    if restart:
        harness.boot()
    harness.wait(50)
    assert harness.of(e.RequestFinished) == []
    harness.wait(15)
    assert harness.result().code == "deadline"


# --- units that git has no more ---------------------------------------------------------------------------------------


def offered(harness, *wanted):
    """What another source's unit that build-depends on u0 is given."""
    harness.deliver(harness.snapshot(unit("app", "u0"), source="other"))
    harness.deliver(harness.request("app", id=f"o{len(harness.starts)}", source="other"))
    return [artifact.package.name for artifact in harness.of(e.JobAssigned)[-1].dependencies]


def test_what_a_deleted_unit_made_is_offered_to_nobody():
    harness = SchedulerHarness()
    harness.deliver(*harness.heartbeats(), harness.snapshot(*MANY), harness.request("u0", publish=True))
    harness.work_off()
    assert list(harness.state.find("published-packages", parent="s"))
    harness.deliver(harness.snapshot(*MANY[1:], revision="b"))
    assert list(harness.state.find("published-packages")) == []
    assert offered(harness) == []


def test_a_unit_deleted_while_it_is_built_is_offered_to_nobody():
    harness = SchedulerHarness()
    harness.deliver(*harness.heartbeats(), harness.snapshot(*MANY), harness.request("u0", publish=True))
    harness.deliver(harness.snapshot(*MANY[1:], revision="b"))
    harness.work_off()
    assert list(harness.state.find("published-packages")) == []


# --- whatever happens -------------------------------------------------------------------------------------------------

STEPS = ("finish", "error", "die", "die unseen", "freeze", "replay", "boot", "wait")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_results_count_once_pools_never_starve_and_only_deaths_are_poison(data):
    harness = SchedulerHarness(runners=("r1", "r2"), max_errors=1000)
    past = [harness.snapshot(*MANY), harness.request("u0", "u1", "u2", "u3")]
    harness.deliver(*harness.heartbeats(), *past)
    deaths = dict.fromkeys(("q.1", "q.2", "q.3", "q.4"), 0)
    for _ in range(data.draw(st.integers(0, 25))):
        step, name = data.draw(st.sampled_from(STEPS)), data.draw(st.sampled_from(["r1", "r2"]))
        if step == "replay":
            harness.deliver(*data.draw(st.permutations(past)))
        elif step == "boot":
            harness.boot()
        elif step == "wait":
            harness.wait(data.draw(st.sampled_from([1, 5, 40])))
        elif harness.holding[name] and name in harness.lives:
            order = harness.holding[name][0]
            begin(harness, order)
            if step == "freeze":
                life = harness.lives.pop(name)
                harness.wait(data.draw(st.sampled_from([5, 15])))
                harness.lives[name] = life
                current = {(o.job_id, o.attempt) for o in harness.of(e.JobRevoked)}
                harness.holding[name] = [o for o in harness.holding[name] if (o.job_id, o.attempt) not in current]
            elif step in ("finish", "error"):
                outcome = Outcome.SUCCESS if step == "finish" else Outcome.ERROR
                past.append(
                    harness.report(harness.holding[name].pop(0), outcome, code="" if outcome == "success" else "x")
                )
                harness.deliver(past[-1])
            else:
                deaths[order.job_id] += 1
                harness.now += 1
                harness.holding[name].clear()
                harness.lives[name] = harness.now
                past.append(harness.report(order, Outcome.ERROR, code=RUNNER_RESTARTED, message="died"))
                harness.deliver(past[-1] if step == "die" else harness.seen(name))
    for _ in range(80):
        harness.work_off()
        harness.wait(30)
    verdicts = {event.job_id: event for event in harness.of(e.JobFinished)}
    assert len(harness.of(e.JobFinished)) == len(verdicts) == 4
    assert len(harness.of(e.RequestFinished)) == 1
    for job_id, verdict in verdicts.items():
        assert (verdict.code == "poison") == (deaths[job_id] >= 2), (verdict, deaths)
        assert verdict.outcome in (Outcome.SUCCESS, Outcome.FAILURE)
