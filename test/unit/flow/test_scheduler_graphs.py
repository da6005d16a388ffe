"""Tests of the scheduler on random graphs: no job starts before its inputs are there, and every request finishes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome, RequestOutcome
from support.factories import unit
from support.scheduler_harness import SchedulerHarness

NAMES = "abcdefg"
TERMS = st.tuples(st.sampled_from(NAMES), st.sampled_from(["", "", " <!nocheck>", " | zz"])).map("".join)
UNIT_LISTS = st.lists(st.lists(TERMS, max_size=3).map(", ".join), min_size=1, max_size=len(NAMES)).map(
    lambda needs: [unit(name, terms) for name, terms in zip(NAMES, needs, strict=False)]
)


def built(units, failing=frozenset(), **more) -> SchedulerHarness:
    harness = SchedulerHarness(runners=("r1", "r2"))
    harness.deliver(harness.snapshot(*units), *harness.heartbeats())
    harness.deliver(harness.request(*(unit.name for unit in units), **more), *harness.heartbeats())
    harness.finish_all(lambda assignment: Outcome.FAILURE if assignment.name in failing else Outcome.SUCCESS)
    return harness


def check_order(harness: SchedulerHarness) -> None:
    needs: dict[str, set[str]] = {}
    finished: set[str] = set()
    made: set[str] = set()
    for event in harness.emitted:
        if isinstance(event, e.JobBlocked) and not event.reason.startswith("the same"):
            needs[event.job_id] = set(event.waiting_for)
        elif isinstance(event, e.JobFinished):
            finished.add(event.job_id)
            made |= {artifact.sha256 for artifact in event.artifacts}
        elif isinstance(event, e.JobAssigned):
            assert needs.get(event.job_id, set()) <= finished
            assert {artifact.sha256 for artifact in event.dependencies} <= made


@given(UNIT_LISTS)
@settings(max_examples=60)
def test_no_job_starts_before_its_inputs_are_there(units):
    harness = built(units)
    check_order(harness)
    end = harness.result()
    assert end.outcome is RequestOutcome.SUCCESS
    assert {job.unit for job in end.jobs} == {unit.path for unit in units}


@given(UNIT_LISTS, st.sets(st.sampled_from(NAMES)))
@settings(max_examples=60)
def test_every_unit_that_needs_no_failed_unit_is_built(units, failing):
    end = built(units, failing).result()
    for job in end.jobs:
        assert (
            (job.outcome is Outcome.SUCCESS)
            or job.unit[2:] in failing
            or job.code in ("dependency-failed", "unchanged")
        )
    failed = {job.unit[2:]: job.code for job in end.jobs if job.outcome is Outcome.FAILURE}
    assert failed.keys() <= failing
    assert (end.outcome is RequestOutcome.FAILURE) == bool(failed)
    assert failed or not any(job.code == "dependency-failed" for job in end.jobs)


@given(UNIT_LISTS, st.data())
@settings(max_examples=40)
def test_result_does_not_depend_on_the_order_of_units(units, data):
    first, second = built(units).result(), built(data.draw(st.permutations(units))).result()
    assert [(job.job_id, job.unit, job.outcome) for job in first.jobs] == [
        (job.job_id, job.unit, job.outcome) for job in second.jobs
    ]


def test_unit_waits_only_for_a_dependency_whose_version_fits():
    """Builds units against packages of version 1, which all packages of the harness have."""
    harness = built([unit("a", version="1"), unit("b", "a (= 1)"), unit("c", "a (>= 2)")])
    b, c = (
        next(assignment for assignment in harness.events_of(e.JobAssigned) if assignment.name == name) for name in "bc"
    )
    assert [artifact.name for artifact in b.dependencies] == ["a_1_amd64.deb"]
    assert c.dependencies == ()
    waits = {event.unit for event in harness.events_of(e.JobBlocked)}
    assert waits == {"p/b"}


def test_cycle_that_the_distribution_cannot_begin_fails_alone():
    units = [unit("a", "b"), unit("b", "a"), unit("c", "b"), unit("alone")]
    harness = SchedulerHarness(runners=("r1", "r2"))
    harness.deliver(harness.snapshot(*units), *harness.heartbeats(), harness.request("a", "b", "c", "alone"))
    missing = {"code": "build-dependency", "message": "Build-Depends: b cannot be satisfied"}
    for assignment in harness.events_of(e.JobAssigned):
        outcome, more = (Outcome.FAILURE, missing) if assignment.name == "a" else (Outcome.SUCCESS, {})
        harness.deliver(harness.report(assignment, outcome, **more))
    end = harness.result()
    assert {(job.unit, job.outcome, job.code) for job in end.jobs} == {
        ("p/a", Outcome.FAILURE, "dependency-cycle"),
        ("p/a", Outcome.SKIPPED, "dependency-failed"),
        ("p/b", Outcome.SKIPPED, "dependency-failed"),
        ("p/c", Outcome.SKIPPED, "dependency-failed"),
        ("p/alone", Outcome.SUCCESS, ""),
    }
    failed = next(event for event in harness.events_of(e.JobFinished) if event.outcome is Outcome.FAILURE)
    assert failed.message == (
        "units build-depend on each other, and none of them is published: p/a, p/b;"
        " the distribution has no packages to begin with: Build-Depends: b cannot be satisfied"
    )
    assert failed.hint.startswith("mark a package")
