"""What the scheduler does with requests, runners and reports, in any order they come."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_builder.flow.scheduler import deferred
from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome, RequestOutcome
from cloud_builder.planning.attempt.transitions import RUNNER_STOPPED
from support.factories import unit
from support.scheduler_harness import SchedulerHarness

CHAIN = (unit("lib"), unit("tool", "lib"), unit("card", "tool"))


def started(harness, *units, wanted=("card",), **more):
    harness.deliver(*harness.heartbeats(), harness.snapshot(*(units or CHAIN)), harness.request(*wanted, **more))
    return harness


def test_a_chain_is_built_in_order_with_the_exact_artifacts_before_it():
    harness = started(SchedulerHarness())
    harness.work_off()
    assert [order.name for order in harness.of(e.JobAssigned)] == ["lib", "tool", "card"]
    given_to = {order.name: [a.package.name for a in order.dependencies] for order in harness.of(e.JobAssigned)}
    assert given_to == {"lib": [], "tool": ["lib"], "card": ["tool"]}
    assert harness.result().outcome is RequestOutcome.SUCCESS


def test_the_same_request_again_starts_nothing():
    harness = started(SchedulerHarness())
    harness.work_off()
    harness.deliver(harness.request("card", id="again"))
    assert harness.outcomes("again") == {"p/lib": "skipped", "p/tool": "skipped", "p/card": "reused"}
    assert len(harness.starts) == 3
    assert harness.result("again").jobs[0].artifacts == harness.result().jobs[0].artifacts


def test_a_changed_library_with_equal_output_stops_the_cascade():
    harness = started(SchedulerHarness(), wanted=("lib", "tool", "card"))
    while any(harness.holding.values()):
        harness.deliver(
            *(harness.report(orders.pop(), content="same") for orders in harness.holding.values() if orders)
        )
    harness.deliver(harness.snapshot(unit("lib", tree="1"), *CHAIN[1:], revision="b"))
    harness.deliver(harness.request("lib", id="push", revision="b", dependants=True))
    harness.deliver(harness.report(harness.holding["r1"].pop(), content="same"))
    assert harness.outcomes("push") == {"p/lib": "success", "p/tool": "skipped", "p/card": "skipped"}


def test_a_failure_is_not_retried_and_what_needs_it_is_skipped_with_the_cause():
    harness = started(SchedulerHarness())
    harness.work_off(lambda order: Outcome.FAILURE if order.name == "tool" else Outcome.SUCCESS)
    assert harness.outcomes() == {"p/lib": "success", "p/tool": "failure", "p/card": "skipped"}
    assert "p/tool" in harness.result().jobs[2].message
    assert harness.result().outcome is RequestOutcome.FAILURE
    assert len(harness.starts) == 2


def test_an_error_is_retried_elsewhere_and_ends_after_three():
    harness = started(SchedulerHarness(runners=("r1", "r2")), wanted=("lib",))
    where = []
    for _ in range(3):
        [name] = [name for name, orders in harness.holding.items() if orders]
        where.append(name)
        harness.deliver(harness.report(harness.holding[name].pop(), Outcome.ERROR, message="disk is gone"))
        harness.wait(10)
    assert harness.outcomes() == {"p/lib": "error"}
    assert "disk is gone" in harness.result().message
    assert where[0] != where[1]
    assert [attempt for _, attempt in harness.starts] == [1, 2, 3]


def test_a_retry_written_down_while_the_clock_was_ahead_is_not_put_off():
    harness = started(SchedulerHarness(), wanted=("lib",))
    harness.now += 3600
    harness.deliver(
        harness.seen("r1"), harness.report(harness.holding["r1"].pop(), Outcome.ERROR, message="disk is gone")
    )
    harness.now -= 3600
    harness.boot()
    harness.wait(3)
    assert [attempt for _, attempt in harness.starts] == [1, 2]


def test_a_silent_runner_loses_its_job_and_its_late_result_does_not_count():
    harness = started(SchedulerHarness(runners=("r1", "r2")), wanted=("lib",))
    [lost] = [name for name, orders in harness.holding.items() if orders]
    late = harness.holding[lost].pop()
    del harness.lives[lost]
    harness.wait(15)
    assert harness.starts == [("q.1", 1), ("q.1", 2)]
    assert [(r.runner_id, r.attempt) for r in harness.of(e.JobRevoked)] == [(lost, 1)]
    harness.deliver(harness.report(late, content="late"))
    assert harness.of(e.JobFinished) == []
    harness.work_off()
    assert harness.outcomes() == {"p/lib": "success"}
    assert len(harness.of(e.JobFinished)) == 1


def test_a_runner_that_came_back_without_the_job_loses_it_at_once():
    harness = started(SchedulerHarness(runners=("r1",)), wanted=("lib",))
    harness.holding["r1"].clear()
    harness.lives["r1"] = 2.0
    harness.wait(5)
    assert harness.starts == [("q.1", 1), ("q.1", 2)]


def test_a_heartbeat_that_overtakes_the_report_of_a_long_build_costs_nothing():
    harness = started(SchedulerHarness(), wanted=("lib",))
    harness.wait(60)
    report = harness.report(harness.holding["r1"].pop())
    harness.deliver(*harness.heartbeats())
    harness.deliver(report)
    assert harness.outcomes() == {"p/lib": "success"}
    assert harness.starts == [("q.1", 1)]


def test_an_order_that_its_runner_never_lists_is_lost_after_a_lease():
    harness = started(SchedulerHarness(runners=("r1", "r2")), wanted=("lib",))
    [name] = [name for name, orders in harness.holding.items() if orders]
    harness.holding[name].clear()
    harness.wait(11)
    assert len(harness.starts) == 1
    harness.wait(5)
    assert [attempt for _, attempt in harness.starts] == [1, 2]


def test_a_runner_told_to_stop_hands_back_without_an_error():
    harness = started(SchedulerHarness(runners=("r1", "r2")), wanted=("lib",))
    for _ in range(5):
        [name] = [name for name, orders in harness.holding.items() if orders]
        order = harness.holding[name].pop()
        harness.deliver(harness.report(order, Outcome.ERROR, code=RUNNER_STOPPED), *harness.heartbeats())
        harness.wait(1)
    harness.work_off()
    assert harness.outcomes() == {"p/lib": "success"}


def test_cancel_revokes_what_runs_and_ends_the_request():
    harness = started(SchedulerHarness())
    harness.deliver(e.BuildCancelRequested(request_id="q", requester="me"))
    assert [r.reason for r in harness.of(e.JobRevoked)] == ["canceled by me"]
    assert harness.outcomes() == {"p/lib": "canceled", "p/tool": "canceled", "p/card": "canceled"}
    assert harness.result().outcome is RequestOutcome.CANCELED


def test_a_cancel_that_overtakes_its_request_still_counts():
    harness = SchedulerHarness()
    harness.deliver(e.BuildCancelRequested(request_id="q"))
    started(harness)
    assert harness.result().outcome is RequestOutcome.CANCELED
    assert harness.starts == []


def test_a_rejection_reaches_those_who_wait_on_the_result():
    harness = SchedulerHarness()
    harness.deliver(
        e.RequestRejected(request_id="q", code="unknown-unit", message="no unit x", hint="y?", rejected_at=1)
    )
    assert (harness.result().outcome, harness.result().hint) == (RequestOutcome.REJECTED, "y?")


def test_a_request_ends_only_when_its_packages_are_published():
    harness = started(SchedulerHarness(), wanted=("lib",), publish=True)
    harness.work_off()
    [verdict] = harness.of(e.JobFinished)
    assert (verdict.publish, verdict.repository) == (True, "s-bookworm")
    assert harness.of(e.RequestFinished) == []
    published = e.RepositoryPublished(
        repository="s-bookworm", snapshot="1", url="http://r", jobs=(verdict.job_id,), at=1
    )
    harness.deliver(published)
    assert [r.url for r in harness.result().repositories] == ["http://r"]


def test_a_publication_that_failed_ends_the_request_in_error():
    harness = started(SchedulerHarness(), wanted=("lib",), publish=True)
    harness.work_off()
    harness.deliver(e.PublishFailed(repository="s-bookworm", jobs=("q.1",), message="disk full", at=1))
    assert harness.result().outcome is RequestOutcome.ERROR
    assert "disk full" in harness.result().message


def test_two_requests_for_the_same_inputs_build_once():
    harness = SchedulerHarness(runners=("r1", "r2"))
    started(harness, wanted=("lib",))
    harness.deliver(harness.request("lib", id="twin"))
    harness.work_off()
    assert len(harness.starts) == 1
    assert harness.outcomes("twin") == {"p/lib": "reused"}


def test_a_twin_of_a_canceled_build_builds_itself():
    harness = SchedulerHarness(runners=("r1", "r2"))
    started(harness, wanted=("lib",))
    harness.deliver(harness.request("lib", id="twin"))
    harness.deliver(e.BuildCancelRequested(request_id="q"))
    harness.holding = {name: [o for o in orders if o.request_id != "q"] for name, orders in harness.holding.items()}
    harness.wait(2)
    harness.work_off()
    assert harness.outcomes("twin") == {"p/lib": "success"}


def test_a_restarted_scheduler_goes_on_where_it_was_and_gives_runners_time_to_speak():
    harness = started(SchedulerHarness())
    harness.now += 3600
    harness.boot()
    harness.deliver()
    harness.work_off()
    harness.deliver(*harness.heartbeats())
    harness.work_off()
    assert harness.outcomes() == {"p/lib": "success", "p/tool": "success", "p/card": "success"}
    assert len(harness.starts) == 3


def test_while_the_broker_is_away_nobody_is_silent():
    harness = started(SchedulerHarness(), wanted=("lib",))
    harness.broker_away = True
    harness.now += 60
    harness.deliver()
    harness.broker_away = False
    harness.deliver()
    harness.wait(5)
    assert harness.starts == [("q.1", 1)]


def test_a_job_that_no_live_runner_can_take_says_so():
    harness = SchedulerHarness(runners=())
    started(harness, wanted=("lib",))
    harness.wait(20)
    reasons = [event.reason for event in harness.of(e.JobBlocked)]
    assert len(reasons) == 1
    assert "no live runner for x86_64" in reasons[0]


def test_a_dependency_of_another_source_is_the_one_published_last():
    harness = started(SchedulerHarness(), wanted=("lib",), publish=True)
    harness.work_off()
    harness.deliver(
        harness.snapshot(unit("app", "lib"), source="other"), harness.request("app", id="o", source="other")
    )
    assert [a.package.name for a in harness.of(e.JobAssigned)[-1].dependencies] == ["lib"]


def test_a_cycle_ends_the_request_with_its_members():
    harness = started(SchedulerHarness(), unit("lib", "tool"), unit("tool", "lib"), wanted=("lib",))
    assert harness.result().outcome is RequestOutcome.REJECTED
    assert "p/lib" in harness.result().message


@st.composite
def worlds(draw):
    count = draw(st.integers(1, 6))
    edges = [sorted(draw(st.sets(st.integers(0, i - 1), max_size=2))) if i else [] for i in range(count)]
    return [unit(f"u{i}", ", ".join(f"u{j}" for j in needs)) for i, needs in enumerate(edges)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(units=worlds(), data=st.data())
def test_whatever_happens_every_request_ends_and_no_job_starts_before_its_inputs(units, data):
    harness = SchedulerHarness(runners=("r1", "r2"), max_errors=50)
    harness.deliver(*harness.heartbeats(), harness.snapshot(*units))
    past = [harness.snapshot(*units)]
    for number in range(data.draw(st.integers(1, 3))):
        wanted = data.draw(st.lists(st.sampled_from([u.name for u in units]), min_size=1, unique=True))
        past.append(harness.request(*wanted, id=f"q{number}"))
        harness.deliver(past[-1])
    for _ in range(data.draw(st.integers(0, 30))):
        step = data.draw(st.sampled_from(["finish", "error", "replay", "boot", "die", "wait"]))
        name = data.draw(st.sampled_from(["r1", "r2"]))
        if step in ("finish", "error") and harness.holding[name]:
            outcome = Outcome.SUCCESS if step == "finish" else Outcome.ERROR
            past.append(harness.report(harness.holding[name].pop(0), outcome))
            harness.deliver(past[-1])
        elif step == "replay":
            harness.deliver(*past)
        elif step == "boot":
            harness.boot()
        elif step == "die":
            harness.holding[name].clear()
            harness.lives[name] += 1.0
        elif step == "wait":
            harness.wait(3)
    for _ in range(60):
        harness.work_off()
        harness.wait(30)
    requests = {event.request_id for event in past if isinstance(event, e.RequestAccepted)}
    assert {event.request_id for event in harness.of(e.RequestFinished)} == requests
    assert len(harness.of(e.RequestFinished)) == len(requests)
    verdicts = [event.job_id for event in harness.of(e.JobFinished)]
    assert len(verdicts) == len(set(verdicts))
    _inputs_were_there(harness, units)
    before = len(harness.told)
    harness.deliver(*past)
    assert [type(event) for event in harness.told[before:]] == []


def _inputs_were_there(harness, units):
    needs = {u.name: {n for n in u.build_depends.split(", ") if n} for u in units}
    for order in harness.of(e.JobAssigned):
        assert needs[order.name] <= {artifact.package.name for artifact in order.dependencies}


@pytest.mark.parametrize("missing", ["snapshot", "part"])
def test_a_request_whose_snapshot_is_not_there_is_told_so(missing):
    harness = SchedulerHarness()
    if missing == "part":
        harness.deliver(harness.snapshot(*CHAIN).model_copy(update={"parts": 2}))
    harness.deliver(harness.request("card"))
    harness.now += deferred.SNAPSHOT_TIMEOUT
    harness.deliver()
    assert harness.result().code == "snapshot-missing"


@pytest.mark.parametrize("restarted", [False, True])
def test_a_request_that_came_before_its_snapshot_waits_for_it(restarted):
    harness = SchedulerHarness()
    harness.deliver(harness.seen("r1"), harness.request("card"))
    if restarted:
        harness.boot()
    harness.now += 1
    harness.deliver(harness.request("card"), harness.seen("r1"))
    harness.deliver(harness.snapshot(*CHAIN))
    harness.work_off()
    assert harness.result().outcome is RequestOutcome.SUCCESS
    harness.now += deferred.SNAPSHOT_TIMEOUT
    harness.deliver()
    assert len(harness.of(e.RequestFinished)) == 1


def test_a_request_does_not_wait_for_its_snapshot_while_nobody_can_tell_it():
    harness = SchedulerHarness()
    harness.deliver(harness.seen("r1"), harness.request("card"))
    harness.broker_away = True
    harness.now += 2 * deferred.SNAPSHOT_TIMEOUT
    harness.deliver()
    harness.broker_away = False
    harness.deliver(harness.seen("r1"), harness.snapshot(*CHAIN))
    harness.work_off()
    assert harness.result().outcome is RequestOutcome.SUCCESS


def test_a_request_that_was_rejected_while_it_waited_for_its_snapshot_is_over():
    harness = SchedulerHarness()
    harness.deliver(harness.seen("r1"), harness.request("card"))
    harness.deliver(e.RequestRejected(request_id="q", code="gone", message="gone", rejected_at=1))
    harness.deliver(harness.snapshot(*CHAIN))
    harness.now += deferred.SNAPSHOT_TIMEOUT
    harness.deliver(harness.seen("r1"))
    assert harness.result().code == "gone"
    assert harness.of(e.JobAssigned) == []


def test_a_late_rejection_of_a_request_that_is_being_built_changes_nothing():
    harness = started(SchedulerHarness())
    harness.deliver(e.RequestRejected(request_id="q", code="source-unreachable", message="offline", rejected_at=1))
    assert harness.of(e.RequestFinished) == []
    harness.work_off()
    assert harness.result().outcome is RequestOutcome.SUCCESS


def test_a_job_that_the_next_life_of_its_runner_took_over_is_not_lost_with_the_life_before():
    harness = started(SchedulerHarness(), wanted=("lib",))
    harness.lives["r1"] = 2.0
    harness.deliver(*harness.heartbeats())
    report = harness.report(harness.holding["r1"].pop())
    harness.deliver(*harness.heartbeats())
    harness.deliver(report)
    assert harness.outcomes() == {"p/lib": "success"}
    assert harness.starts == [("q.1", 1)]


def test_every_job_that_no_live_runner_can_take_says_so_once():
    harness = SchedulerHarness(runners=())
    started(harness, wanted=("lib",))
    harness.wait(15)
    harness.deliver(harness.request("tool", id="later", revision="a"), harness.request("card", id="last", publish=True))
    harness.deliver(harness.snapshot(unit("other"), revision="b"), harness.request("other", id="more", revision="b"))
    harness.wait(15)
    said = [event.job_id for event in harness.of(e.JobBlocked) if "no live runner" in event.reason]
    assert said == ["q.1", "more.1"]


def test_a_new_broker_is_told_where_every_job_stands_and_the_last_results():
    harness = started(SchedulerHarness(), wanted=("lib",))
    harness.work_off()
    harness.deliver(harness.snapshot(unit("lib", tree="1"), *CHAIN[1:], revision="b"))
    harness.deliver(harness.request("card", id="open", revision="b"))
    before = harness.result()
    harness.boot()
    told = harness.republish()
    assert [type(event) for event in told] == [e.JobQueued, e.JobBlocked, e.JobBlocked, e.RequestFinished]
    assert told[-1] == before


def test_a_build_that_somebody_waits_for_is_as_urgent_as_whoever_waits():
    units = [unit(f"u{number}") for number in range(4)]
    harness = started(SchedulerHarness(slots=1), *units, wanted=[one.name for one in units], priority="bulk")
    waits = next(
        one.name for one in reversed(units) if one.name not in {order.name for order in harness.of(e.JobAssigned)}
    )
    harness.deliver(harness.request(waits, id="now", priority="interactive"))
    harness.deliver(harness.report(harness.holding["r1"].pop()))
    assert harness.of(e.JobAssigned)[-1].name == waits
    harness.deliver(harness.report(harness.holding["r1"].pop()))
    assert harness.outcomes("now") == {f"p/{waits}": "reused"}
