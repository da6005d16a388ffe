"""What the scheduler does with requests, runners and reports, in any order they come."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scheduler_bench import Bench, unit

from cloud_builder.flow.scheduler import deferred
from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome, RequestOutcome
from cloud_builder.planning.attempt.transitions import HANDED_BACK

CHAIN = (unit("lib"), unit("tool", "lib"), unit("card", "tool"))


def started(bench, *units, wanted=("card",), **more):
    bench.deliver(*bench.heartbeats(), bench.snapshot(*(units or CHAIN)), bench.request(*wanted, **more))
    return bench


def test_a_chain_is_built_in_order_with_the_exact_artifacts_before_it():
    bench = started(Bench())
    bench.work_off()
    assert [order.name for order in bench.of(e.JobAssigned)] == ["lib", "tool", "card"]
    given_to = {order.name: [a.package.name for a in order.dependencies] for order in bench.of(e.JobAssigned)}
    assert given_to == {"lib": [], "tool": ["lib"], "card": ["tool"]}
    assert bench.result().outcome is RequestOutcome.SUCCESS


def test_the_same_request_again_starts_nothing():
    bench = started(Bench())
    bench.work_off()
    bench.deliver(bench.request("card", id="again"))
    assert bench.outcomes("again") == {"p/lib": "skipped", "p/tool": "skipped", "p/card": "reused"}
    assert len(bench.starts) == 3
    assert bench.result("again").jobs[0].artifacts == bench.result().jobs[0].artifacts


def test_a_changed_library_with_equal_output_stops_the_cascade():
    bench = started(Bench(), wanted=("lib", "tool", "card"))
    while any(bench.holding.values()):
        bench.deliver(*(bench.report(orders.pop(), content="same") for orders in bench.holding.values() if orders))
    bench.deliver(bench.snapshot(unit("lib", tree="1"), *CHAIN[1:], revision="b"))
    bench.deliver(bench.request("lib", id="push", revision="b", dependants=True))
    bench.deliver(bench.report(bench.holding["r1"].pop(), content="same"))
    assert bench.outcomes("push") == {"p/lib": "success", "p/tool": "skipped", "p/card": "skipped"}


def test_a_failure_is_not_retried_and_what_needs_it_is_skipped_with_the_cause():
    bench = started(Bench())
    bench.work_off(lambda order: Outcome.FAILURE if order.name == "tool" else Outcome.SUCCESS)
    assert bench.outcomes() == {"p/lib": "success", "p/tool": "failure", "p/card": "skipped"}
    assert "p/tool" in bench.result().jobs[2].message
    assert bench.result().outcome is RequestOutcome.FAILURE
    assert len(bench.starts) == 2


def test_an_error_is_retried_elsewhere_and_ends_after_three():
    bench = started(Bench(runners=("r1", "r2")), wanted=("lib",))
    where = []
    for _ in range(3):
        [name] = [name for name, orders in bench.holding.items() if orders]
        where.append(name)
        bench.deliver(bench.report(bench.holding[name].pop(), Outcome.ERROR, message="disk is gone"))
        bench.wait(10)
    assert bench.outcomes() == {"p/lib": "error"}
    assert "disk is gone" in bench.result().message
    assert where[0] != where[1]
    assert [attempt for _, attempt in bench.starts] == [1, 2, 3]


def test_a_retry_written_down_while_the_clock_was_ahead_is_not_put_off():
    bench = started(Bench(), wanted=("lib",))
    bench.now += 3600
    bench.deliver(bench.seen("r1"), bench.report(bench.holding["r1"].pop(), Outcome.ERROR, message="disk is gone"))
    bench.now -= 3600
    bench.boot()
    bench.wait(3)
    assert [attempt for _, attempt in bench.starts] == [1, 2]


def test_a_silent_runner_loses_its_job_and_its_late_result_does_not_count():
    bench = started(Bench(runners=("r1", "r2")), wanted=("lib",))
    [lost] = [name for name, orders in bench.holding.items() if orders]
    late = bench.holding[lost].pop()
    del bench.lives[lost]
    bench.wait(15)
    assert bench.starts == [("q.1", 1), ("q.1", 2)]
    assert [(r.runner_id, r.attempt) for r in bench.of(e.JobRevoked)] == [(lost, 1)]
    bench.deliver(bench.report(late, content="late"))
    assert bench.of(e.JobFinished) == []
    bench.work_off()
    assert bench.outcomes() == {"p/lib": "success"}
    assert len(bench.of(e.JobFinished)) == 1


def test_a_runner_that_came_back_without_the_job_loses_it_at_once():
    bench = started(Bench(runners=("r1",)), wanted=("lib",))
    bench.holding["r1"].clear()
    bench.lives["r1"] = 2.0
    bench.wait(5)
    assert bench.starts == [("q.1", 1), ("q.1", 2)]


def test_a_heartbeat_that_overtakes_the_report_of_a_long_build_costs_nothing():
    bench = started(Bench(), wanted=("lib",))
    bench.wait(60)
    report = bench.report(bench.holding["r1"].pop())
    bench.deliver(*bench.heartbeats())
    bench.deliver(report)
    assert bench.outcomes() == {"p/lib": "success"}
    assert bench.starts == [("q.1", 1)]


def test_an_order_that_its_runner_never_lists_is_lost_after_a_lease():
    bench = started(Bench(runners=("r1", "r2")), wanted=("lib",))
    [name] = [name for name, orders in bench.holding.items() if orders]
    bench.holding[name].clear()
    bench.wait(11)
    assert len(bench.starts) == 1
    bench.wait(5)
    assert [attempt for _, attempt in bench.starts] == [1, 2]


def test_a_runner_told_to_stop_hands_back_without_an_error():
    bench = started(Bench(runners=("r1", "r2")), wanted=("lib",))
    for _ in range(5):
        [name] = [name for name, orders in bench.holding.items() if orders]
        order = bench.holding[name].pop()
        bench.deliver(bench.report(order, Outcome.ERROR, code=HANDED_BACK), *bench.heartbeats())
        bench.wait(1)
    bench.work_off()
    assert bench.outcomes() == {"p/lib": "success"}


def test_cancel_revokes_what_runs_and_ends_the_request():
    bench = started(Bench())
    bench.deliver(e.BuildCancelRequested(request_id="q", requester="me"))
    assert [r.reason for r in bench.of(e.JobRevoked)] == ["canceled by me"]
    assert bench.outcomes() == {"p/lib": "canceled", "p/tool": "canceled", "p/card": "canceled"}
    assert bench.result().outcome is RequestOutcome.CANCELED


def test_a_cancel_that_overtakes_its_request_still_counts():
    bench = Bench()
    bench.deliver(e.BuildCancelRequested(request_id="q"))
    started(bench)
    assert bench.result().outcome is RequestOutcome.CANCELED
    assert bench.starts == []


def test_a_rejection_reaches_those_who_wait_on_the_result():
    bench = Bench()
    bench.deliver(e.RequestRejected(request_id="q", code="unknown-unit", message="no unit x", hint="y?", rejected_at=1))
    assert (bench.result().outcome, bench.result().hint) == (RequestOutcome.REJECTED, "y?")


def test_a_request_ends_only_when_its_packages_are_published():
    bench = started(Bench(), wanted=("lib",), publish=True)
    bench.work_off()
    [verdict] = bench.of(e.JobFinished)
    assert (verdict.publish, verdict.repository) == (True, "s-bookworm")
    assert bench.of(e.RequestFinished) == []
    published = e.RepositoryPublished(
        repository="s-bookworm", snapshot="1", url="http://r", jobs=(verdict.job_id,), at=1
    )
    bench.deliver(published)
    assert [r.url for r in bench.result().repositories] == ["http://r"]


def test_a_publication_that_failed_ends_the_request_in_error():
    bench = started(Bench(), wanted=("lib",), publish=True)
    bench.work_off()
    bench.deliver(e.PublishFailed(repository="s-bookworm", jobs=("q.1",), message="disk full", at=1))
    assert bench.result().outcome is RequestOutcome.ERROR
    assert "disk full" in bench.result().message


def test_two_requests_for_the_same_inputs_build_once():
    bench = Bench(runners=("r1", "r2"))
    started(bench, wanted=("lib",))
    bench.deliver(bench.request("lib", id="twin"))
    bench.work_off()
    assert len(bench.starts) == 1
    assert bench.outcomes("twin") == {"p/lib": "reused"}


def test_a_twin_of_a_canceled_build_builds_itself():
    bench = Bench(runners=("r1", "r2"))
    started(bench, wanted=("lib",))
    bench.deliver(bench.request("lib", id="twin"))
    bench.deliver(e.BuildCancelRequested(request_id="q"))
    bench.holding = {name: [o for o in orders if o.request_id != "q"] for name, orders in bench.holding.items()}
    bench.wait(2)
    bench.work_off()
    assert bench.outcomes("twin") == {"p/lib": "success"}


def test_a_restarted_scheduler_goes_on_where_it_was_and_gives_runners_time_to_speak():
    bench = started(Bench())
    bench.now += 3600
    bench.boot()
    bench.deliver()
    bench.work_off()
    bench.deliver(*bench.heartbeats())
    bench.work_off()
    assert bench.outcomes() == {"p/lib": "success", "p/tool": "success", "p/card": "success"}
    assert len(bench.starts) == 3


def test_while_the_broker_is_away_nobody_is_silent():
    bench = started(Bench(), wanted=("lib",))
    bench.broker_away = True
    bench.now += 60
    bench.deliver()
    bench.broker_away = False
    bench.deliver()
    bench.wait(5)
    assert bench.starts == [("q.1", 1)]


def test_a_job_that_no_live_runner_can_take_says_so():
    bench = Bench(runners=())
    started(bench, wanted=("lib",))
    bench.wait(20)
    reasons = [event.reason for event in bench.of(e.JobBlocked)]
    assert len(reasons) == 1
    assert "no live runner for x86_64" in reasons[0]


def test_a_dependency_of_another_source_is_the_one_published_last():
    bench = started(Bench(), wanted=("lib",), publish=True)
    bench.work_off()
    bench.deliver(bench.snapshot(unit("app", "lib"), source="other"), bench.request("app", id="o", source="other"))
    assert [a.package.name for a in bench.of(e.JobAssigned)[-1].dependencies] == ["lib"]


def test_a_cycle_ends_the_request_with_its_members():
    bench = started(Bench(), unit("lib", "tool"), unit("tool", "lib"), wanted=("lib",))
    assert bench.result().outcome is RequestOutcome.REJECTED
    assert "p/lib" in bench.result().message


@st.composite
def worlds(draw):
    count = draw(st.integers(1, 6))
    edges = [sorted(draw(st.sets(st.integers(0, i - 1), max_size=2))) if i else [] for i in range(count)]
    return [unit(f"u{i}", ", ".join(f"u{j}" for j in needs)) for i, needs in enumerate(edges)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(units=worlds(), data=st.data())
def test_whatever_happens_every_request_ends_and_no_job_starts_before_its_inputs(units, data):
    bench = Bench(runners=("r1", "r2"), max_errors=50)
    bench.deliver(*bench.heartbeats(), bench.snapshot(*units))
    past = [bench.snapshot(*units)]
    for number in range(data.draw(st.integers(1, 3))):
        wanted = data.draw(st.lists(st.sampled_from([u.name for u in units]), min_size=1, unique=True))
        past.append(bench.request(*wanted, id=f"q{number}"))
        bench.deliver(past[-1])
    for _ in range(data.draw(st.integers(0, 30))):
        step = data.draw(st.sampled_from(["finish", "error", "replay", "boot", "die", "wait"]))
        name = data.draw(st.sampled_from(["r1", "r2"]))
        if step in ("finish", "error") and bench.holding[name]:
            outcome = Outcome.SUCCESS if step == "finish" else Outcome.ERROR
            past.append(bench.report(bench.holding[name].pop(0), outcome))
            bench.deliver(past[-1])
        elif step == "replay":
            bench.deliver(*past)
        elif step == "boot":
            bench.boot()
        elif step == "die":
            bench.holding[name].clear()
            bench.lives[name] += 1.0
        elif step == "wait":
            bench.wait(3)
    for _ in range(60):
        bench.work_off()
        bench.wait(30)
    requests = {event.request_id for event in past if isinstance(event, e.RequestAccepted)}
    assert {event.request_id for event in bench.of(e.RequestFinished)} == requests
    assert len(bench.of(e.RequestFinished)) == len(requests)
    verdicts = [event.job_id for event in bench.of(e.JobFinished)]
    assert len(verdicts) == len(set(verdicts))
    _inputs_were_there(bench, units)
    before = len(bench.told)
    bench.deliver(*past)
    assert [type(event) for event in bench.told[before:]] == []


def _inputs_were_there(bench, units):
    needs = {u.name: {n for n in u.build_depends.split(", ") if n} for u in units}
    for order in bench.of(e.JobAssigned):
        assert needs[order.name] <= {artifact.package.name for artifact in order.dependencies}


@pytest.mark.parametrize("missing", ["snapshot", "part"])
def test_a_request_whose_snapshot_is_not_there_is_told_so(missing):
    bench = Bench()
    if missing == "part":
        bench.deliver(bench.snapshot(*CHAIN).model_copy(update={"parts": 2}))
    bench.deliver(bench.request("card"))
    bench.now += deferred.PATIENCE
    bench.deliver()
    assert bench.result().code == "snapshot-missing"


@pytest.mark.parametrize("restarted", [False, True])
def test_a_request_that_came_before_its_snapshot_waits_for_it(restarted):
    bench = Bench()
    bench.deliver(bench.seen("r1"), bench.request("card"))
    if restarted:
        bench.boot()
    bench.now += 1
    bench.deliver(bench.request("card"), bench.seen("r1"))
    bench.deliver(bench.snapshot(*CHAIN))
    bench.work_off()
    assert bench.result().outcome is RequestOutcome.SUCCESS
    bench.now += deferred.PATIENCE
    bench.deliver()
    assert len(bench.of(e.RequestFinished)) == 1


def test_a_request_does_not_wait_for_its_snapshot_while_nobody_can_tell_it():
    bench = Bench()
    bench.deliver(bench.seen("r1"), bench.request("card"))
    bench.broker_away = True
    bench.now += 2 * deferred.PATIENCE
    bench.deliver()
    bench.broker_away = False
    bench.deliver(bench.seen("r1"), bench.snapshot(*CHAIN))
    bench.work_off()
    assert bench.result().outcome is RequestOutcome.SUCCESS


def test_a_request_that_was_rejected_while_it_waited_for_its_snapshot_is_over():
    bench = Bench()
    bench.deliver(bench.seen("r1"), bench.request("card"))
    bench.deliver(e.RequestRejected(request_id="q", code="gone", message="gone", rejected_at=1))
    bench.deliver(bench.snapshot(*CHAIN))
    bench.now += deferred.PATIENCE
    bench.deliver(bench.seen("r1"))
    assert bench.result().code == "gone"
    assert bench.of(e.JobAssigned) == []


def test_a_late_rejection_of_a_request_that_is_being_built_changes_nothing():
    bench = started(Bench())
    bench.deliver(e.RequestRejected(request_id="q", code="source-unreachable", message="offline", rejected_at=1))
    assert bench.of(e.RequestFinished) == []
    bench.work_off()
    assert bench.result().outcome is RequestOutcome.SUCCESS


def test_a_job_that_the_next_life_of_its_runner_took_over_is_not_lost_with_the_life_before():
    bench = started(Bench(), wanted=("lib",))
    bench.lives["r1"] = 2.0
    bench.deliver(*bench.heartbeats())
    report = bench.report(bench.holding["r1"].pop())
    bench.deliver(*bench.heartbeats())
    bench.deliver(report)
    assert bench.outcomes() == {"p/lib": "success"}
    assert bench.starts == [("q.1", 1)]


def test_every_job_that_no_live_runner_can_take_says_so_once():
    bench = Bench(runners=())
    started(bench, wanted=("lib",))
    bench.wait(15)
    bench.deliver(bench.request("tool", id="later", revision="a"), bench.request("card", id="last", publish=True))
    bench.deliver(bench.snapshot(unit("other"), revision="b"), bench.request("other", id="more", revision="b"))
    bench.wait(15)
    said = [event.job_id for event in bench.of(e.JobBlocked) if "no live runner" in event.reason]
    assert said == ["q.1", "more.1"]


def test_a_new_broker_is_told_where_every_job_stands_and_the_last_results():
    bench = started(Bench(), wanted=("lib",))
    bench.work_off()
    bench.deliver(bench.snapshot(unit("lib", tree="1"), *CHAIN[1:], revision="b"))
    bench.deliver(bench.request("card", id="open", revision="b"))
    before = bench.result()
    bench.boot()
    told = bench.resume()
    assert [type(event) for event in told] == [e.JobQueued, e.JobBlocked, e.JobBlocked, e.RequestFinished]
    assert told[-1] == before


def test_a_build_that_somebody_waits_for_is_as_urgent_as_whoever_waits():
    units = [unit(f"u{number}") for number in range(4)]
    bench = started(Bench(slots=1), *units, wanted=[one.name for one in units], priority="bulk")
    waits = next(
        one.name for one in reversed(units) if one.name not in {order.name for order in bench.of(e.JobAssigned)}
    )
    bench.deliver(bench.request(waits, id="now", priority="interactive"))
    bench.deliver(bench.report(bench.holding["r1"].pop()))
    assert bench.of(e.JobAssigned)[-1].name == waits
    bench.deliver(bench.report(bench.holding["r1"].pop()))
    assert bench.outcomes("now") == {f"p/{waits}": "reused"}
