"""What the scheduler does when jobs take down runners, runners err, and time runs out."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scheduler_bench import Bench, unit

from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome, RequestOutcome
from cloud_builder.planning.attempt import quarantine
from cloud_builder.planning.attempt.transitions import DIED

MANY = [unit(f"u{number}") for number in range(12)]


def bench_with(*wanted, runners=("r1", "r2"), **more):
    bench = Bench(runners=runners, **more)
    bench.deliver(*bench.heartbeats(), bench.snapshot(*MANY), bench.request(*wanted))
    return bench


def begin(bench, order):
    bench.deliver(
        e.AttemptStarted(job_id=order.job_id, attempt=order.attempt, runner_id=order.runner_id, started_at=bench.now)
    )


def held(bench):
    return [order for orders in bench.holding.values() for order in orders]


def die(bench, order, *, confess=True):
    """The runner of an order is killed and comes back."""
    begin(bench, order)
    bench.now += 1
    name = order.runner_id
    bench.holding[name].remove(order)
    bench.lives[name] = bench.now
    said = [bench.report(order, Outcome.ERROR, code=DIED, message=f"runner {name} died while it built this")]
    bench.deliver(*(said if confess else [bench.seen(name)]))
    bench.wait(10)


def all_die(bench, name):
    """A runner is killed with all that it builds, and comes back."""
    for order in bench.holding[name]:
        begin(bench, order)
    bench.now += 1
    bench.lives[name] = bench.now
    gone, bench.holding[name] = bench.holding[name], []
    bench.deliver(*(bench.report(order, Outcome.ERROR, code=DIED, message="died") for order in gone))


# --- poison -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confess", [True, False], ids=["it says so itself", "only its new life is seen"])
def test_a_job_that_takes_down_two_runners_is_a_failure(confess):
    bench = bench_with("u0")
    first = held(bench)[0]
    die(bench, first, confess=confess)
    second = held(bench)[0]
    assert {first.runner_id, second.runner_id} == {"r1", "r2"}
    die(bench, second, confess=confess)
    [job] = bench.result().jobs
    assert (job.outcome, job.code) == (Outcome.FAILURE, "poison")
    assert f"{first.runner_id} (attempt 1), {second.runner_id} (attempt 2)" in job.message
    assert len(bench.starts) == 2


def test_a_confession_and_a_heartbeat_of_the_same_death_count_once():
    bench = bench_with("u0")
    order = held(bench)[0]
    begin(bench, order)
    bench.holding[order.runner_id].clear()
    bench.lives[order.runner_id] = 2000.0
    died = bench.report(order, Outcome.ERROR, code=DIED, message="died")
    bench.deliver(bench.seen(order.runner_id), died, bench.seen(order.runner_id), died)
    bench.wait(5)
    bench.work_off()
    assert bench.outcomes() == {"p/u0": "success"}


def freeze(bench, seconds):
    """The runner of the only order says nothing for so long."""
    [order] = held(bench)
    begin(bench, order)
    life = bench.lives.pop(order.runner_id)
    bench.wait(seconds)
    bench.holding[order.runner_id] = []
    bench.lives[order.runner_id] = life
    return order


def test_frozen_runners_that_come_back_did_not_die_of_it():
    bench = bench_with("u0", max_errors=50)
    for _ in range(4):
        freeze(bench, 15)
        bench.wait(40)
    bench.work_off()
    assert bench.outcomes() == {"p/u0": "success"}


def test_two_runners_that_stay_silent_make_a_job_a_failure_before_a_third_one_gets_it():
    bench = bench_with("u0", runners=("r1", "r2", "r3"), max_errors=50)
    for _ in range(2):
        [order] = held(bench)
        begin(bench, order)
        del bench.lives[order.runner_id]
        bench.holding[order.runner_id] = []
        bench.wait(20)
    assert bench.of(e.JobFinished) == []
    bench.wait(30)
    assert [(job.code, len(bench.starts)) for job in bench.result().jobs] == [("poison", 2)]
    [hold] = [event.hold for event in bench.of(e.JobQueued) if event.hold]
    assert (hold.kind, hold.died) == (e.HoldKind.DOUBT, ("r1", "r2"))


def test_of_the_jobs_that_ran_beside_it_none_is_blamed_with_it():
    bench = bench_with(*(f"u{number}" for number in range(6)), runners=("r1", "r2"), slots=3)
    for _ in range(20):
        if any(verdict.code for verdict in bench.of(e.JobFinished)):
            break
        victim = next((order for order in held(bench) if order.name == "u0"), None)
        if victim is None:
            other = held(bench)[0]
            bench.holding[other.runner_id].remove(other)
            bench.deliver(bench.report(other))
        else:
            all_die(bench, victim.runner_id)
        bench.wait(4)
    for _ in range(20):
        bench.work_off()
        bench.wait(10)
    assert bench.outcomes() == {"p/u0": "failure", **{f"p/u{number}": "success" for number in range(1, 6)}}


def test_another_request_for_the_same_inputs_does_not_take_down_more_runners():
    bench = bench_with("u0")
    bench.deliver(bench.request("u0", id="twin"))
    for _ in range(2):
        die(bench, held(bench)[0])
    assert [job.code for job in (*bench.result().jobs, *bench.result("twin").jobs)] == ["poison", "poison"]
    assert len(bench.starts) == 2


def test_a_restarted_scheduler_still_counts_deaths():
    bench = bench_with("u0")
    for _ in range(2):
        [order] = held(bench)
        begin(bench, order)
        bench.boot()
        bench.deliver()
        bench.wait(8)
        die_after_boot = bench.holding[order.runner_id].pop()
        bench.lives[order.runner_id] = bench.now
        bench.deliver(bench.report(die_after_boot, Outcome.ERROR, code=DIED, message="died"))
        bench.wait(10)
    assert [job.code for job in bench.result().jobs] == ["poison"]


# --- trust ------------------------------------------------------------------------------------------------------------


def err(bench, name):
    bench.now += 0.5
    bench.deliver(bench.report(bench.holding[name].pop(0), Outcome.ERROR, code="machine", message="No space left"))


def set_aside(bench, name):
    for _ in range(10):
        if bench.of(e.RunnerSetAside):
            return
        for _ in tuple(bench.holding[name]):
            err(bench, name)
        bench.wait(5)
    raise AssertionError("it is still trusted")


def worked_off(bench, bad):
    """`bad` errs, all others build, until nothing is held."""
    for _ in range(60):
        for name in list(bench.holding):
            while bench.holding[name]:
                if name == bad:
                    err(bench, name)
                else:
                    bench.deliver(bench.report(bench.holding[name].pop()))
        bench.wait(1)


def test_a_runner_that_errs_again_and_again_gets_no_more_work_and_is_told_why():
    bench = bench_with(*(f"u{number}" for number in range(12)), max_errors=50)
    worked_off(bench, bad="r1")
    assert set(bench.outcomes().values()) == {"success"}
    [first, *_] = bench.of(e.RunnerSetAside)
    assert (first.runner_id, first.reason) == ("r1", "its last 3 jobs ended in error: No space left")
    assert first.until == first.at + quarantine.FIRST_PAUSE
    assert len([order for order in bench.of(e.JobAssigned) if order.runner_id == "r1"]) <= 5


def test_after_a_pause_it_gets_one_job_and_with_that_it_is_trusted_again():
    bench = bench_with(*(f"u{number}" for number in range(12)), runners=("r1",), slots=4, max_errors=50)
    set_aside(bench, "r1")
    while bench.holding["r1"]:
        err(bench, "r1")
    before, until = len(bench.starts), bench.of(e.RunnerSetAside)[-1].until
    bench.wait(until - bench.now - 1)
    assert len(bench.starts) == before
    bench.wait(5)
    assert len(bench.holding["r1"]) == 1
    bench.deliver(bench.report(bench.holding["r1"].pop()))
    assert bench.of(e.RunnerSetAside)[-1].reason == ""
    assert len(bench.holding["r1"]) == 4
    bench.work_off()
    assert set(bench.outcomes().values()) == {"success"}


def aside_with_a_canary():
    """r1, whose pause is over, has its one job; r2 has work for long."""
    bench = bench_with(*(f"u{number}" for number in range(12)), runners=("r1", "r2"), max_errors=50)
    set_aside(bench, "r1")
    bench.deliver(e.BuildCancelRequested(request_id="q"))
    bench.holding["r2"].clear()
    bench.slots = 4
    bench.wait(quarantine.FIRST_PAUSE)
    bench.deliver(bench.request(*(f"u{number}" for number in range(5)), id="busy"))
    assert list(map(len, bench.holding.values())) == [1, 4]
    return bench


def test_a_canary_that_is_revoked_makes_room_for_the_next_one_at_once():
    bench = aside_with_a_canary()
    [canary] = bench.holding["r1"]
    told = bench.deliver(e.BuildCancelRequested(request_id="busy"))
    assert (canary.job_id, "r1") in {(each.job_id, each.runner_id) for each in told if isinstance(each, e.JobRevoked)}
    del bench.lives["r2"]
    bench.holding["r1"].clear()
    bench.wait(15)
    bench.deliver(bench.request("u11", id="next"))
    assert [order.unit for order in bench.holding["r1"]] == ["p/u11"]
    bench.work_off()
    assert bench.of(e.RunnerSetAside)[-1].reason == ""


@pytest.mark.parametrize(
    ("begun", "outcome", "is_trusted"),
    [(-1.0, Outcome.SUCCESS, True), (-1000.0, Outcome.SUCCESS, False), (-1.0, Outcome.CANCELED, False)],
    ids=["it went well", "before the last error", "it was stopped"],
)
def test_a_canary_that_ends_after_its_job_was_canceled_still_tells_about_its_runner(begun, outcome, is_trusted):
    bench = aside_with_a_canary()
    [canary] = bench.holding["r1"]
    bench.deliver(e.BuildCancelRequested(request_id="busy"))
    report = bench.report(canary, outcome).model_copy(update={"started_at": bench.now + begun})
    bench.deliver(report)
    assert (bench.of(e.RunnerSetAside)[-1].reason == "") is is_trusted
    assert bench.outcomes("busy")[canary.unit] == "canceled"


def test_a_runner_that_is_set_aside_keeps_nobody_waiting_where_others_have_room():
    bench = aside_with_a_canary()
    bench.deliver(e.BuildCancelRequested(request_id="busy"))
    for orders in bench.holding.values():
        orders.clear()
    bench.wait(1)
    bench.deliver(bench.request("u11", id="next"))
    assert [order.unit for order in bench.holding["r2"]] == ["p/u11"]


def test_what_waits_for_runners_that_are_all_set_aside_says_so():
    bench = bench_with(*(f"u{number}" for number in range(6)), runners=("r1",), max_errors=50)
    set_aside(bench, "r1")
    bench.wait(20)
    told = {event.job_id for event in bench.of(e.JobBlocked) if "set aside (r1)" in event.reason}
    assert len(told) == 6


def test_how_far_a_runner_is_trusted_survives_a_restart_of_the_scheduler():
    bench = bench_with(*(f"u{number}" for number in range(6)), runners=("r1",), max_errors=50)
    set_aside(bench, "r1")
    bench.boot()
    before = len(bench.starts)
    bench.wait(15)
    assert len(bench.starts) == before
    assert [event.reason for event in bench.resume() if isinstance(event, e.RunnerSetAside)] != []


# --- deadlines --------------------------------------------------------------------------------------------------------


def test_what_is_not_over_at_the_deadline_is_canceled_and_its_runner_told():
    bench = Bench()
    bench.deliver(*bench.heartbeats(), bench.snapshot(*MANY), bench.request("u0", "u1", "u2", deadline=60.0))
    bench.deliver(bench.report(bench.holding["r1"].pop()))
    bench.wait(58)
    assert bench.of(e.RequestFinished) == []
    bench.wait(3)
    result = bench.result()
    assert (result.outcome, result.code, result.message) == (
        RequestOutcome.CANCELED,
        "deadline",
        "deadline of 60 s passed",
    )
    assert sorted(job.code for job in result.jobs) == ["", "deadline", "deadline"]
    assert [revoked.reason for revoked in bench.of(e.JobRevoked)] == ["deadline of 60 s passed"]


def test_a_deadline_does_not_touch_what_ended_in_time():
    bench = Bench()
    bench.deliver(*bench.heartbeats(), bench.snapshot(*MANY), bench.request("u0", deadline=60.0))
    bench.work_off()
    bench.wait(120)
    assert bench.result().outcome is RequestOutcome.SUCCESS


def test_reports_that_wait_to_be_read_are_read_before_anything_is_late():
    bench = Bench()
    bench.deliver(*bench.heartbeats(), bench.snapshot(*MANY), bench.request("u0", deadline=60.0))
    bench.now += 90
    bench.deliver(bench.report(bench.holding["r1"].pop()))
    assert bench.result().outcome is RequestOutcome.SUCCESS


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("ahead", [3600.0, 86400.0])
def test_a_request_accepted_while_a_clock_was_ahead_has_its_time_from_now(ahead, restart):
    bench = Bench()
    request = bench.request("u0", deadline=60.0).model_copy(update={"accepted_at": bench.now + ahead})
    bench.deliver(*bench.heartbeats(), bench.snapshot(*MANY), request)
    if restart:
        bench.boot()
    bench.wait(50)
    assert bench.of(e.RequestFinished) == []
    bench.wait(15)
    assert bench.result().code == "deadline"


# --- units that git has no more ---------------------------------------------------------------------------------------


def offered(bench, *wanted):
    """What another source's unit that build-depends on u0 is given."""
    bench.deliver(bench.snapshot(unit("app", "u0"), source="other"))
    bench.deliver(bench.request("app", id=f"o{len(bench.starts)}", source="other"))
    return [artifact.package.name for artifact in bench.of(e.JobAssigned)[-1].dependencies]


def test_what_a_deleted_unit_made_is_offered_to_nobody():
    bench = Bench()
    bench.deliver(*bench.heartbeats(), bench.snapshot(*MANY), bench.request("u0", publish=True))
    bench.work_off()
    assert list(bench.state.find("offers", parent="s"))
    bench.deliver(bench.snapshot(*MANY[1:], revision="b"))
    assert list(bench.state.find("offers")) == []
    assert offered(bench) == []


def test_a_unit_deleted_while_it_is_built_is_offered_to_nobody():
    bench = Bench()
    bench.deliver(*bench.heartbeats(), bench.snapshot(*MANY), bench.request("u0", publish=True))
    bench.deliver(bench.snapshot(*MANY[1:], revision="b"))
    bench.work_off()
    assert list(bench.state.find("offers")) == []


# --- whatever happens -------------------------------------------------------------------------------------------------

STEPS = ("finish", "error", "die", "die unseen", "freeze", "replay", "boot", "wait")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_results_count_once_pools_never_starve_and_only_deaths_are_poison(data):
    bench = Bench(runners=("r1", "r2"), max_errors=1000)
    past = [bench.snapshot(*MANY), bench.request("u0", "u1", "u2", "u3")]
    bench.deliver(*bench.heartbeats(), *past)
    deaths = dict.fromkeys(("q.1", "q.2", "q.3", "q.4"), 0)
    for _ in range(data.draw(st.integers(0, 25))):
        step, name = data.draw(st.sampled_from(STEPS)), data.draw(st.sampled_from(["r1", "r2"]))
        if step == "replay":
            bench.deliver(*data.draw(st.permutations(past)))
        elif step == "boot":
            bench.boot()
        elif step == "wait":
            bench.wait(data.draw(st.sampled_from([1, 5, 40])))
        elif bench.holding[name] and name in bench.lives:
            order = bench.holding[name][0]
            begin(bench, order)
            if step == "freeze":
                life = bench.lives.pop(name)
                bench.wait(data.draw(st.sampled_from([5, 15])))
                bench.lives[name] = life
                current = {(o.job_id, o.attempt) for o in bench.of(e.JobRevoked)}
                bench.holding[name] = [o for o in bench.holding[name] if (o.job_id, o.attempt) not in current]
            elif step in ("finish", "error"):
                outcome = Outcome.SUCCESS if step == "finish" else Outcome.ERROR
                past.append(bench.report(bench.holding[name].pop(0), outcome, code="" if outcome == "success" else "x"))
                bench.deliver(past[-1])
            else:
                deaths[order.job_id] += 1
                bench.now += 1
                bench.holding[name].clear()
                bench.lives[name] = bench.now
                past.append(bench.report(order, Outcome.ERROR, code=DIED, message="died"))
                bench.deliver(past[-1] if step == "die" else bench.seen(name))
    for _ in range(80):
        bench.work_off()
        bench.wait(30)
    verdicts = {event.job_id: event for event in bench.of(e.JobFinished)}
    assert len(bench.of(e.JobFinished)) == len(verdicts) == 4
    assert len(bench.of(e.RequestFinished)) == 1
    for job_id, verdict in verdicts.items():
        assert (verdict.code == "poison") == (deaths[job_id] >= 2), (verdict, deaths)
        assert verdict.outcome in (Outcome.SUCCESS, Outcome.FAILURE)
