"""Tests of the scheduler: requests, runners and reports, in any order of their arrival."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloud_builder.flow.scheduler import deferred
from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome, RequestOutcome
from cloud_builder.model.repository import HeldBuild
from cloud_builder.planning.attempt.transitions import RUNNER_STOPPED
from support.factories import BOOKWORM, unit
from support.scheduler_harness import SchedulerHarness

CHAIN = (unit("lib"), unit("tool", "lib"), unit("card", "tool"))


def started(harness, *units, requested=("card",), **more):
    harness.deliver(*harness.heartbeats(), harness.snapshot(*(units or CHAIN)), harness.request(*requested, **more))
    return harness


def test_chain_is_built_in_order_with_the_artifacts_of_its_dependencies():
    harness = started(SchedulerHarness())
    harness.finish_all()
    assert [assignment.name for assignment in harness.events_of(e.JobAssigned)] == ["lib", "tool", "card"]
    given_to = {
        assignment.name: [a.package.name for a in assignment.dependencies]
        for assignment in harness.events_of(e.JobAssigned)
    }
    assert given_to == {"lib": [], "tool": ["lib"], "card": ["tool"]}
    assert harness.result().outcome is RequestOutcome.SUCCESS


def test_repeated_request_reuses_all_results():
    harness = started(SchedulerHarness())
    harness.finish_all()
    harness.deliver(harness.request("card", id="again"))
    assert harness.outcomes("again") == {"p/lib": "skipped", "p/tool": "skipped", "p/card": "reused"}
    assert len(harness.starts) == 3
    assert harness.result("again").jobs[0].artifacts == harness.result().jobs[0].artifacts


def test_changed_library_with_equal_output_stops_the_cascade():
    harness = started(SchedulerHarness(), requested=("lib", "tool", "card"))
    while any(harness.assignments.values()):
        harness.deliver(
            *(
                harness.report(assignments.pop(), content="same")
                for assignments in harness.assignments.values()
                if assignments
            )
        )
    harness.deliver(harness.snapshot(unit("lib", tree="1"), *CHAIN[1:], revision="b"))
    harness.deliver(harness.request("lib", id="push", revision="b", dependants=True))
    harness.deliver(harness.report(harness.assignments["r1"].pop(), content="same"))
    assert harness.outcomes("push") == {"p/lib": "success", "p/tool": "skipped", "p/card": "skipped"}


def test_failed_job_is_not_retried_and_its_dependants_are_skipped():
    harness = started(SchedulerHarness())
    harness.finish_all(lambda assignment: Outcome.FAILURE if assignment.name == "tool" else Outcome.SUCCESS)
    assert harness.outcomes() == {"p/lib": "success", "p/tool": "failure", "p/card": "skipped"}
    assert "p/tool" in harness.result().jobs[2].message
    assert harness.result().outcome is RequestOutcome.FAILURE
    assert len(harness.starts) == 2


def test_error_is_retried_elsewhere_and_final_after_three_attempts():
    harness = started(SchedulerHarness(runners=("r1", "r2")), requested=("lib",))
    runners = []
    for _ in range(3):
        [name] = [name for name, assignments in harness.assignments.items() if assignments]
        runners.append(name)
        harness.deliver(harness.report(harness.assignments[name].pop(), Outcome.ERROR, message="disk is gone"))
        harness.wait(10)
    assert harness.outcomes() == {"p/lib": "error"}
    assert "disk is gone" in harness.result().message
    assert runners[0] != runners[1]
    assert [attempt for _, attempt in harness.starts] == [1, 2, 3]


def test_retry_stored_with_a_clock_ahead_is_not_delayed():
    harness = started(SchedulerHarness(), requested=("lib",))
    harness.now += 3600
    harness.deliver(
        harness.seen("r1"), harness.report(harness.assignments["r1"].pop(), Outcome.ERROR, message="disk is gone")
    )
    harness.now -= 3600
    harness.boot()
    harness.wait(3)
    assert [attempt for _, attempt in harness.starts] == [1, 2]


def test_silent_runner_loses_its_job_and_its_late_report_is_ignored():
    harness = started(SchedulerHarness(runners=("r1", "r2")), requested=("lib",))
    [lost] = [name for name, assignments in harness.assignments.items() if assignments]
    late = harness.assignments[lost].pop()
    del harness.incarnations[lost]
    harness.wait(15)
    assert harness.starts == [("q.1", 1), ("q.1", 2)]
    assert [(r.runner_id, r.attempt) for r in harness.events_of(e.JobRevoked)] == [(lost, 1)]
    harness.deliver(harness.report(late, content="late"))
    assert harness.events_of(e.JobFinished) == []
    harness.finish_all()
    assert harness.outcomes() == {"p/lib": "success"}
    assert len(harness.events_of(e.JobFinished)) == 1


def test_restarted_runner_without_the_job_loses_it_at_once():
    harness = started(SchedulerHarness(runners=("r1",)), requested=("lib",))
    harness.assignments["r1"].clear()
    harness.incarnations["r1"] = 2.0
    harness.wait(5)
    assert harness.starts == [("q.1", 1), ("q.1", 2)]


def test_heartbeat_before_the_report_of_a_long_build_starts_no_retry():
    harness = started(SchedulerHarness(), requested=("lib",))
    harness.wait(60)
    report = harness.report(harness.assignments["r1"].pop())
    harness.deliver(*harness.heartbeats())
    harness.deliver(report)
    assert harness.outcomes() == {"p/lib": "success"}
    assert harness.starts == [("q.1", 1)]


def test_assignment_that_is_never_listed_is_abandoned_after_a_lease():
    harness = started(SchedulerHarness(runners=("r1", "r2")), requested=("lib",))
    [name] = [name for name, assignments in harness.assignments.items() if assignments]
    harness.assignments[name].clear()
    harness.wait(11)
    assert len(harness.starts) == 1
    harness.wait(5)
    assert [attempt for _, attempt in harness.starts] == [1, 2]


def test_jobs_of_a_stopped_runner_are_retried_without_an_error():
    harness = started(SchedulerHarness(runners=("r1", "r2")), requested=("lib",))
    for _ in range(5):
        [name] = [name for name, assignments in harness.assignments.items() if assignments]
        assignment = harness.assignments[name].pop()
        harness.deliver(harness.report(assignment, Outcome.ERROR, code=RUNNER_STOPPED), *harness.heartbeats())
        harness.wait(1)
    harness.finish_all()
    assert harness.outcomes() == {"p/lib": "success"}


def test_cancel_revokes_running_attempts_and_finishes_the_request():
    harness = started(SchedulerHarness())
    harness.deliver(e.BuildCancelRequested(request_id="q", requester="me"))
    assert [r.reason for r in harness.events_of(e.JobRevoked)] == ["canceled by me"]
    assert harness.outcomes() == {"p/lib": "canceled", "p/tool": "canceled", "p/card": "canceled"}
    assert harness.result().outcome is RequestOutcome.CANCELED


def test_cancel_that_arrives_before_its_request_is_applied():
    harness = SchedulerHarness()
    harness.deliver(e.BuildCancelRequested(request_id="q"))
    started(harness)
    assert harness.result().outcome is RequestOutcome.CANCELED
    assert harness.starts == []


def test_rejection_is_emitted_as_the_result_of_the_request():
    harness = SchedulerHarness()
    harness.deliver(
        e.RequestRejected(request_id="q", code="unknown-unit", message="no unit x", hint="y?", rejected_at=1)
    )
    assert (harness.result().outcome, harness.result().hint) == (RequestOutcome.REJECTED, "y?")


def test_request_finishes_only_when_its_packages_are_published():
    harness = started(SchedulerHarness(), requested=("lib",), publish=True)
    harness.finish_all()
    [finished] = harness.events_of(e.JobFinished)
    assert (finished.publish, finished.repository) == (True, "s-bookworm")
    assert harness.events_of(e.RequestFinished) == []
    published = e.RepositoryPublished(
        repository="s-bookworm", snapshot="1", url="http://r", jobs=(finished.job_id,), at=1
    )
    harness.deliver(published)
    assert [r.url for r in harness.result().repositories] == ["http://r"]


def held(unit: str) -> HeldBuild:
    reason = "an application that is published needs it"
    return HeldBuild(unit=unit, target=BOOKWORM.name, job_id="q.1", packages=("lib 2",), reason=reason)


def test_request_ends_with_its_builds_that_are_held():
    harness = started(SchedulerHarness(slots=2), requested=("lib", "tool"), publish=True)
    harness.finish_all()
    first, second = (finished.job_id for finished in harness.events_of(e.JobFinished))
    about = {"repository": "s-bookworm", "url": "http://r", "at": 1}
    harness.deliver(e.RepositoryPublished(snapshot="1", jobs=(first,), held=(held("p/lib"), held("p/x")), **about))
    harness.boot()
    harness.deliver(e.RepositoryPublished(snapshot="2", jobs=(second,), held=(held("p/lib"), held("p/x")), **about))
    result = harness.result()
    assert (result.outcome, [build.unit for build in result.held]) == (RequestOutcome.SUCCESS, ["p/lib"])
    assert result.message.startswith("p/lib for bookworm.x86_64 is held back: an application")


def test_build_that_is_released_before_the_end_is_not_held():
    harness = started(SchedulerHarness(slots=2), requested=("lib", "tool"), publish=True)
    harness.finish_all()
    first, second = (finished.job_id for finished in harness.events_of(e.JobFinished))
    about = {"repository": "s-bookworm", "url": "http://r", "at": 1}
    harness.deliver(e.RepositoryPublished(snapshot="1", jobs=(first,), held=(held("p/lib"),), **about))
    harness.deliver(e.RepositoryPublished(snapshot="2", jobs=(second,), **about))
    assert (harness.result().held, harness.result().message) == ((), "")


def test_failed_publication_finishes_the_request_in_error():
    harness = started(SchedulerHarness(), requested=("lib",), publish=True)
    harness.finish_all()
    harness.deliver(e.PublishFailed(repository="s-bookworm", jobs=("q.1",), message="disk full", at=1))
    assert harness.result().outcome is RequestOutcome.ERROR
    assert "disk full" in harness.result().message


def test_two_requests_for_the_same_inputs_build_once():
    harness = SchedulerHarness(runners=("r1", "r2"))
    started(harness, requested=("lib",))
    harness.deliver(harness.request("lib", id="duplicate"))
    harness.finish_all()
    assert len(harness.starts) == 1
    assert harness.outcomes("duplicate") == {"p/lib": "reused"}


def test_duplicate_of_a_canceled_job_is_built():
    harness = SchedulerHarness(runners=("r1", "r2"))
    started(harness, requested=("lib",))
    harness.deliver(harness.request("lib", id="duplicate"))
    harness.deliver(e.BuildCancelRequested(request_id="q"))
    harness.assignments = {
        name: [assignment for assignment in assignments if assignment.request_id != "q"]
        for name, assignments in harness.assignments.items()
    }
    harness.wait(2)
    harness.finish_all()
    assert harness.outcomes("duplicate") == {"p/lib": "success"}


def test_restarted_scheduler_continues_and_waits_a_lease_for_heartbeats():
    harness = started(SchedulerHarness())
    harness.now += 3600
    harness.boot()
    harness.deliver()
    harness.finish_all()
    harness.deliver(*harness.heartbeats())
    harness.finish_all()
    assert harness.outcomes() == {"p/lib": "success", "p/tool": "success", "p/card": "success"}
    assert len(harness.starts) == 3


def test_no_runner_counts_as_silent_while_the_broker_is_away():
    harness = started(SchedulerHarness(), requested=("lib",))
    harness.broker_away = True
    harness.now += 60
    harness.deliver()
    harness.broker_away = False
    harness.deliver()
    harness.wait(5)
    assert harness.starts == [("q.1", 1)]


def test_unschedulable_job_is_reported_with_the_cause():
    harness = SchedulerHarness(runners=())
    started(harness, requested=("lib",))
    harness.wait(20)
    reasons = [event.reason for event in harness.events_of(e.JobBlocked)]
    assert len(reasons) == 1
    assert "no live runner for x86_64" in reasons[0]


def test_dependency_from_another_source_is_its_newest_package():
    harness = started(SchedulerHarness(), requested=("lib",), publish=True)
    harness.finish_all()
    harness.deliver(
        harness.snapshot(unit("app", "lib"), source="other"), harness.request("app", id="o", source="other")
    )
    assert [a.package.name for a in harness.events_of(e.JobAssigned)[-1].dependencies] == ["lib"]


def test_missing_build_dependency_names_what_the_units_have():
    harness = started(SchedulerHarness(), unit("lib", "tool (>= 2)"), unit("tool", version="1"), requested=("lib",))
    [assignment] = harness.events_of(e.JobAssigned)
    failed = {"code": "build-dependency", "message": "Build-Depends: tool (>= 2) cannot be satisfied"}
    harness.deliver(harness.report(assignment, Outcome.FAILURE, **failed))
    assert harness.result().message.endswith("tool (>= 2) cannot be satisfied; there is tool 1 (p/tool)")


@st.composite
def graphs_of_units(draw):
    count = draw(st.integers(1, 6))
    edges = [sorted(draw(st.sets(st.integers(0, i - 1), max_size=2))) if i else [] for i in range(count)]
    return [unit(f"u{i}", ", ".join(f"u{j}" for j in needs)) for i, needs in enumerate(edges)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(units=graphs_of_units(), data=st.data())
def test_every_request_finishes_and_no_job_starts_before_its_inputs(units, data):
    harness = SchedulerHarness(runners=("r1", "r2"), max_errors=50)
    harness.deliver(*harness.heartbeats(), harness.snapshot(*units))
    sent = [harness.snapshot(*units)]
    for number in range(data.draw(st.integers(1, 3))):
        requested = data.draw(st.lists(st.sampled_from([u.name for u in units]), min_size=1, unique=True))
        sent.append(harness.request(*requested, id=f"q{number}"))
        harness.deliver(sent[-1])
    for _ in range(data.draw(st.integers(0, 30))):
        step = data.draw(st.sampled_from(["finish", "error", "replay", "boot", "kill", "wait"]))
        name = data.draw(st.sampled_from(["r1", "r2"]))
        if step in ("finish", "error") and harness.assignments[name]:
            outcome = Outcome.SUCCESS if step == "finish" else Outcome.ERROR
            sent.append(harness.report(harness.assignments[name].pop(0), outcome))
            harness.deliver(sent[-1])
        elif step == "replay":
            harness.deliver(*sent)
        elif step == "boot":
            harness.boot()
        elif step == "kill":
            harness.assignments[name].clear()
            harness.incarnations[name] += 1.0
        elif step == "wait":
            harness.wait(3)
    for _ in range(60):
        harness.finish_all()
        harness.wait(30)
    requests = {event.request_id for event in sent if isinstance(event, e.RequestAccepted)}
    assert {event.request_id for event in harness.events_of(e.RequestFinished)} == requests
    assert len(harness.events_of(e.RequestFinished)) == len(requests)
    finished = [event.job_id for event in harness.events_of(e.JobFinished)]
    assert len(finished) == len(set(finished))
    _assert_inputs_were_there(harness, units)
    before = len(harness.emitted)
    harness.deliver(*sent)
    assert [type(event) for event in harness.emitted[before:]] == []


def _assert_inputs_were_there(harness, units):
    needs = {u.name: {n for n in u.build_depends.split(", ") if n} for u in units}
    for assignment in harness.events_of(e.JobAssigned):
        assert needs[assignment.name] <= {artifact.package.name for artifact in assignment.dependencies}


@pytest.mark.parametrize("missing", ["snapshot", "part"])
def test_request_without_its_snapshot_is_rejected_after_the_timeout(missing):
    harness = SchedulerHarness()
    if missing == "part":
        harness.deliver(harness.snapshot(*CHAIN).model_copy(update={"parts": 2}))
    harness.deliver(harness.request("card"))
    harness.now += deferred.SNAPSHOT_TIMEOUT
    harness.deliver()
    assert harness.result().code == "snapshot-missing"


@pytest.mark.parametrize("restarted", [False, True])
def test_request_received_before_its_snapshot_waits_for_it(restarted):
    harness = SchedulerHarness()
    harness.deliver(harness.seen("r1"), harness.request("card"))
    if restarted:
        harness.boot()
    harness.now += 1
    harness.deliver(harness.request("card"), harness.seen("r1"))
    harness.deliver(harness.snapshot(*CHAIN))
    harness.finish_all()
    assert harness.result().outcome is RequestOutcome.SUCCESS
    harness.now += deferred.SNAPSHOT_TIMEOUT
    harness.deliver()
    assert len(harness.events_of(e.RequestFinished)) == 1


def test_wait_for_a_snapshot_counts_only_while_the_broker_is_there():
    harness = SchedulerHarness()
    harness.deliver(harness.seen("r1"), harness.request("card"))
    harness.broker_away = True
    harness.now += 2 * deferred.SNAPSHOT_TIMEOUT
    harness.deliver()
    harness.broker_away = False
    harness.deliver(harness.seen("r1"), harness.snapshot(*CHAIN))
    harness.finish_all()
    assert harness.result().outcome is RequestOutcome.SUCCESS


def test_deferred_request_that_is_rejected_is_not_admitted_later():
    harness = SchedulerHarness()
    harness.deliver(harness.seen("r1"), harness.request("card"))
    harness.deliver(e.RequestRejected(request_id="q", code="gone", message="gone", rejected_at=1))
    harness.deliver(harness.snapshot(*CHAIN))
    harness.now += deferred.SNAPSHOT_TIMEOUT
    harness.deliver(harness.seen("r1"))
    assert harness.result().code == "gone"
    assert harness.events_of(e.JobAssigned) == []


def test_late_rejection_of_an_accepted_request_changes_nothing():
    harness = started(SchedulerHarness())
    harness.deliver(e.RequestRejected(request_id="q", code="source-unreachable", message="offline", rejected_at=1))
    assert harness.events_of(e.RequestFinished) == []
    harness.finish_all()
    assert harness.result().outcome is RequestOutcome.SUCCESS


def test_attempt_that_the_next_incarnation_of_its_runner_lists_is_kept():
    harness = started(SchedulerHarness(), requested=("lib",))
    harness.incarnations["r1"] = 2.0
    harness.deliver(*harness.heartbeats())
    report = harness.report(harness.assignments["r1"].pop())
    harness.deliver(*harness.heartbeats())
    harness.deliver(report)
    assert harness.outcomes() == {"p/lib": "success"}
    assert harness.starts == [("q.1", 1)]


def test_every_unschedulable_job_is_reported_once():
    harness = SchedulerHarness(runners=())
    started(harness, requested=("lib",))
    harness.wait(15)
    harness.deliver(harness.request("tool", id="later", revision="a"), harness.request("card", id="last", publish=True))
    harness.deliver(harness.snapshot(unit("other"), revision="b"), harness.request("other", id="more", revision="b"))
    harness.wait(15)
    reported = [event.job_id for event in harness.events_of(e.JobBlocked) if "no live runner" in event.reason]
    assert reported == ["q.1", "more.1"]


def test_new_broker_gets_the_state_of_every_job_and_the_newest_results():
    harness = started(SchedulerHarness(), requested=("lib",))
    harness.finish_all()
    harness.deliver(harness.snapshot(unit("lib", tree="1"), *CHAIN[1:], revision="b"))
    harness.deliver(harness.request("card", id="open", revision="b"))
    before = harness.result()
    harness.boot()
    emitted = harness.republish()
    assert [type(event) for event in emitted] == [e.JobQueued, e.JobBlocked, e.JobBlocked, e.RequestFinished]
    assert emitted[-1] == before


def test_queued_job_inherits_the_priority_of_its_duplicate():
    units = [unit(f"u{number}") for number in range(4)]
    harness = started(SchedulerHarness(slots=1), *units, requested=[unit.name for unit in units], priority="bulk")
    waits = next(
        unit.name
        for unit in reversed(units)
        if unit.name not in {assignment.name for assignment in harness.events_of(e.JobAssigned)}
    )
    harness.deliver(harness.request(waits, id="now", priority="interactive"))
    harness.deliver(harness.report(harness.assignments["r1"].pop()))
    assert harness.events_of(e.JobAssigned)[-1].name == waits
    harness.deliver(harness.report(harness.assignments["r1"].pop()))
    assert harness.outcomes("now") == {f"p/{waits}": "reused"}
