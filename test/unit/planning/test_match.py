"""Matching of queued jobs with runners, and the reason why a job fits no runner."""

from __future__ import annotations

import pytest

from cloud_builder.model.capacity import Capacity
from cloud_builder.model.unit import Target
from cloud_builder.planning.records import JobRecord, RunnerRecord
from cloud_builder.planning.schedule.free_slots import FreeSlots, RunnerRequirements
from cloud_builder.planning.schedule.locality import root_cache_key
from cloud_builder.planning.schedule.match import match, queued_job
from cloud_builder.planning.schedule.queue import QueuePolicy, restored
from cloud_builder.planning.schedule.unschedulable import why_unschedulable
from support.factories import BOOKWORM, job, runner

X86 = BOOKWORM
ARM = Target(name="bookworm.aarch64", dist="bookworm", arch="aarch64")
BIG = BOOKWORM.model_copy(update={"runner_group": "big"})
GIB = 1024**3


class Scheduler:
    """Queued jobs, and runners that a test adds and removes."""

    def __init__(self, jobs: list[JobRecord], runners: list[RunnerRecord]) -> None:
        self.jobs = {job.job_id: job for job in jobs}
        self.queue = restored(QueuePolicy(), [queued_job(job) for job in jobs], (), now=0.0)
        self.slots = FreeSlots()
        self.runners = {runner.runner_id: runner for runner in runners}

    def assign(self, now: float = 0.0, limits=None, may=None) -> dict[str, str]:
        self.slots.update(self.runners, limits or {})
        return {job.job_id: job.runner_id for job in match(self.queue, self.slots, self.jobs, now, may)}


def test_jobs_are_assigned_by_slots_order_architecture_and_group() -> None:
    jobs = [job(1), job(2), job(3, target=ARM), job(4, target=BIG)]
    runners = [runner("r1"), runner("r2", group="big"), runner("r3", slots=2, attempts=[("x", 1), ("y", 1)])]
    assert Scheduler(jobs, runners).assign() == {"r.1": "r1", "r.2": "r2"}
    assert Scheduler(jobs[2:], runners).assign() == {"r.4": "r2"}


@pytest.mark.parametrize(
    ("runners", "now", "expected"),
    [
        pytest.param([runner("r1", slots=5), runner("r2")], 0.0, {"r.1": "r2"}, id="another runner"),
        pytest.param([runner("r1")], 0.0, {"r.1": "r1"}, id="no other runner"),
        pytest.param([runner("r1"), runner("r2", attempts=[("x", 1)])], 10.0, {}, id="the other runner is busy"),
        pytest.param(
            [runner("r1"), runner("r2", attempts=[("x", 1)])],
            99.0,
            {"r.1": "r1"},
            id="the other runner is busy for too long",
        ),
        pytest.param(
            [runner("r1"), runner("r2", arch="aarch64")],
            0.0,
            {"r.1": "r1"},
            id="the other runner has another architecture",
        ),
    ],
)
def test_retry_goes_to_another_runner_if_there_is_one(runners, now, expected) -> None:
    assert Scheduler([job(tried_runners=("r1",), not_before=1.0)], runners).assign(now) == expected


def test_retry_that_waits_for_another_runner_does_not_block_other_jobs() -> None:
    scheduler = Scheduler([job(1, tried_runners=("r1",)), job(2)], [runner("r1"), runner("r2", attempts=[("x", 1)])])
    assert scheduler.assign() == {"r.2": "r1"}


@pytest.mark.parametrize(
    ("constraints", "capacity", "is_assigned"),
    [
        (Capacity(memory=4), Capacity(memory=4), True),
        (Capacity(memory=5), Capacity(memory=4), False),
        (Capacity(kvm=True), Capacity(memory=4), False),
        (Capacity(tags=("a",)), Capacity(tags=("a", "b")), True),
        (Capacity(tags=("c",)), Capacity(tags=("a", "b")), False),
    ],
)
def test_job_is_assigned_only_to_a_runner_that_meets_its_constraints(constraints, capacity, is_assigned) -> None:
    assert bool(Scheduler([job(constraints=constraints)], [runner(capacity=capacity)]).assign()) is is_assigned


def test_waiting_job_is_assigned_when_a_runner_gets_more_memory() -> None:
    scheduler = Scheduler([job(constraints=Capacity(memory=8))], [runner("r1", capacity=Capacity(memory=4))])
    assert scheduler.assign() == {}
    scheduler.runners["r1"] = runner("r1", capacity=Capacity(memory=16))
    assert scheduler.assign() == {"r.1": "r1"}


def test_free_slots_follow_the_attempts_that_runners_announce() -> None:
    scheduler = Scheduler([job(number) for number in range(1, 6)], [runner("r1", slots=2), runner("r2")])
    assert set(scheduler.assign()) == {"r.1", "r.2", "r.3"}
    assert set(scheduler.assign()) == {"r.4", "r.5"}  # no runner has announced an attempt yet
    scheduler = Scheduler([job(number) for number in range(1, 6)], [runner("r1", slots=2), runner("r2")])
    assert scheduler.assign(limits={"r1": 0}) == {"r.1": "r2"}
    scheduler.runners["r2"] = runner("r2", attempts=[("r.1", 1)])
    assert scheduler.assign(limits={"r1": 1}) == {"r.2": "r1"}
    del scheduler.runners["r2"]
    assert scheduler.assign() == {"r.3": "r1", "r.4": "r1"}


def test_job_that_may_go_to_no_runner_does_not_block_other_jobs() -> None:
    scheduler = Scheduler([job(1, tried_runners=("r9",)), job(2)], [runner("r1")])
    assert scheduler.assign(may=lambda job, _: job.job_id != "r.1") == {"r.2": "r1"}


def test_runner_with_the_build_root_and_a_free_slot_is_preferred() -> None:
    waiting = job(buildroot="b" * 64, repositories="c" * 64)
    key = root_cache_key("b" * 64, "bookworm.x86_64", "c" * 64)
    cached = runner("cached", slots=2, attempts=[("x", 1)], buildroots=frozenset({key}))
    assert Scheduler([waiting], [runner("r1", slots=9), cached]).assign() == {"r.1": "cached"}
    busy = cached.model_copy(update={"slots": 1})
    assert Scheduler([waiting], [runner("r1", slots=9), busy]).assign() == {"r.1": "r1"}


def test_runner_with_the_source_is_preferred_and_one_with_kvm_is_not() -> None:
    plain, special = runner("r2"), runner("r1", capacity=Capacity(kvm=True))
    assert Scheduler([job()], [special, plain]).assign() == {"r.1": "r2"}
    assert Scheduler([job(constraints=Capacity(kvm=True))], [special, plain]).assign() == {"r.1": "r1"}
    has_source = special.model_copy(update={"sources": frozenset({"s"})})
    assert Scheduler([job()], [has_source, plain]).assign() == {"r.1": "r1"}


@pytest.mark.parametrize(
    ("requirements", "runners", "expected"),
    [
        (
            RunnerRequirements("x86_64", ""),
            [],
            "no live runner for x86_64; start one: cb-runner, or cb-ctl up --runners 1",
        ),
        (
            RunnerRequirements("x86_64", "sues"),
            [runner(group="suse")],
            "no live runner of group sues for x86_64; did you mean suse? there are: suse",
        ),
        (
            RunnerRequirements("x86_64", "", Capacity(memory=64 * GIB)),
            [runner(f"r{n}", capacity=Capacity(memory=n * 4 * GIB)) for n in (1, 2, 4)],
            "needs memory 64 GiB; the largest of 3 runners has 16 GiB",
        ),
        (
            RunnerRequirements("x86_64", "", Capacity(kvm=True, cpu=8)),
            [runner(capacity=Capacity(cpu=2))],
            "needs 8 cores; the only runner, r1, has 2; needs kvm; the only runner, r1, does not have it",
        ),
        (
            RunnerRequirements("x86_64", "", Capacity(kvm=True, tags=("gpu",))),
            [runner("a", capacity=Capacity(kvm=True)), runner("b", capacity=Capacity(tags=("gpu",)))],
            "needs kvm and tag gpu; none of 2 runners has all of it: a lacks tag gpu, b lacks kvm",
        ),
    ],
)
def test_reason_names_the_requirements_that_no_runner_meets(requirements, runners, expected) -> None:
    assert why_unschedulable(requirements, runners) == expected
