"""Which waiting job goes to which runner."""

from __future__ import annotations

import pytest

from cloud_builder.model.capacity import Capacity
from cloud_builder.model.unit import Target
from cloud_builder.planning.records import JobRecord, RunnerRecord
from cloud_builder.planning.schedule.free_slots import FreeSlots, RunnerRequirements
from cloud_builder.planning.schedule.locality import root_cache_key
from cloud_builder.planning.schedule.match import match, queued_job
from cloud_builder.planning.schedule.queue import QueuePolicy, restored
from cloud_builder.planning.schedule.unschedulable import lacking
from support.factories import BOOKWORM, job, runner

X86 = BOOKWORM
ARM = Target(name="bookworm.aarch64", dist="bookworm", arch="aarch64")
BIG = BOOKWORM.model_copy(update={"runner_group": "big"})
GIB = 1024**3


class Farm:
    """Jobs wait, runners come and go."""

    def __init__(self, jobs: list[JobRecord], runners: list[RunnerRecord]) -> None:
        self.jobs = {one.job_id: one for one in jobs}
        self.order = restored(QueuePolicy(), [queued_job(one) for one in jobs], (), now=0.0)
        self.slots = FreeSlots()
        self.runners = {one.runner_id: one for one in runners}

    def assign(self, now: float = 0.0, caps=None, may=None) -> dict[str, str]:
        self.slots.update(self.runners, caps or {})
        return {one.job_id: one.runner_id for one in match(self.order, self.slots, self.jobs, now, may)}


def test_slots_order_architecture_and_group_are_respected() -> None:
    jobs = [job(1), job(2), job(3, target=ARM), job(4, target=BIG)]
    runners = [runner("r1"), runner("r2", group="big"), runner("r3", slots=2, held=[("x", 1), ("y", 1)])]
    assert Farm(jobs, runners).assign() == {"r.1": "r1", "r.2": "r2"}
    assert Farm(jobs[2:], runners).assign() == {"r.4": "r2"}


@pytest.mark.parametrize(
    ("runners", "now", "expected"),
    [
        pytest.param([runner("r1", slots=5), runner("r2")], 0.0, {"r.1": "r2"}, id="elsewhere"),
        pytest.param([runner("r1")], 0.0, {"r.1": "r1"}, id="there is no elsewhere"),
        pytest.param([runner("r1"), runner("r2", held=[("x", 1)])], 10.0, {}, id="elsewhere is busy"),
        pytest.param([runner("r1"), runner("r2", held=[("x", 1)])], 99.0, {"r.1": "r1"}, id="it is busy for too long"),
        pytest.param([runner("r1"), runner("r2", arch="aarch64")], 0.0, {"r.1": "r1"}, id="the other cannot"),
    ],
)
def test_a_retry_goes_elsewhere_when_there_is_an_elsewhere(runners, now, expected) -> None:
    assert Farm([job(tried_runners=("r1",), not_before=1.0)], runners).assign(now) == expected


def test_an_elsewhere_that_is_busy_is_waited_for_without_blocking_the_next_job() -> None:
    farm = Farm([job(1, tried_runners=("r1",)), job(2)], [runner("r1"), runner("r2", held=[("x", 1)])])
    assert farm.assign() == {"r.2": "r1"}


@pytest.mark.parametrize(
    ("asks", "has", "fits"),
    [
        (Capacity(memory=4), Capacity(memory=4), True),
        (Capacity(memory=5), Capacity(memory=4), False),
        (Capacity(kvm=True), Capacity(memory=4), False),
        (Capacity(tags=("a",)), Capacity(tags=("a", "b")), True),
        (Capacity(tags=("c",)), Capacity(tags=("a", "b")), False),
    ],
)
def test_constraints_are_met(asks, has, fits) -> None:
    assert bool(Farm([job(constraints=asks)], [runner(capacity=has)]).assign()) is fits


def test_a_runner_that_comes_later_or_becomes_larger_takes_what_waited() -> None:
    farm = Farm([job(constraints=Capacity(memory=8))], [runner("r1", capacity=Capacity(memory=4))])
    assert farm.assign() == {}
    farm.runners["r1"] = runner("r1", capacity=Capacity(memory=16))
    assert farm.assign() == {"r.1": "r1"}


def test_slots_follow_what_runners_say() -> None:
    farm = Farm([job(number) for number in range(1, 6)], [runner("r1", slots=2), runner("r2")])
    assert set(farm.assign()) == {"r.1", "r.2", "r.3"}
    assert set(farm.assign()) == {"r.4", "r.5"}  # nobody has said that they hold anything
    farm = Farm([job(number) for number in range(1, 6)], [runner("r1", slots=2), runner("r2")])
    assert farm.assign(caps={"r1": 0}) == {"r.1": "r2"}
    farm.runners["r2"] = runner("r2", held=[("r.1", 1)])
    assert farm.assign(caps={"r1": 1}) == {"r.2": "r1"}
    del farm.runners["r2"]
    assert farm.assign() == {"r.3": "r1", "r.4": "r1"}


def test_a_job_that_may_go_nowhere_lets_others_pass() -> None:
    farm = Farm([job(1, tried_runners=("r9",)), job(2)], [runner("r1")])
    assert farm.assign(may=lambda one, _: one.job_id != "r.1") == {"r.2": "r1"}


def test_of_runners_with_a_free_slot_the_one_that_has_the_root_is_taken() -> None:
    wanting = job(buildroot="b" * 64, repositories="c" * 64)
    word = root_cache_key("b" * 64, "bookworm.x86_64", "c" * 64)
    near = runner("far-down", slots=2, held=[("x", 1)], buildroots=frozenset({word}))
    assert Farm([wanting], [runner("r1", slots=9), near]).assign() == {"r.1": "far-down"}
    busy = near.model_copy(update={"slots": 1})
    assert Farm([wanting], [runner("r1", slots=9), busy]).assign() == {"r.1": "r1"}


def test_a_runner_with_a_source_is_nearer_and_a_special_one_is_spared() -> None:
    plain, special = runner("r2"), runner("r1", capacity=Capacity(kvm=True))
    assert Farm([job()], [special, plain]).assign() == {"r.1": "r2"}
    assert Farm([job(constraints=Capacity(kvm=True))], [special, plain]).assign() == {"r.1": "r1"}
    knows = special.model_copy(update={"sources": frozenset({"s"})})
    assert Farm([job()], [knows, plain]).assign() == {"r.1": "r1"}


@pytest.mark.parametrize(
    ("pool", "runners", "expected"),
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
            "needs 8 cores; the only runner, r1, has 2; needs kvm; the only runner, r1, has it not",
        ),
        (
            RunnerRequirements("x86_64", "", Capacity(kvm=True, tags=("gpu",))),
            [runner("a", capacity=Capacity(kvm=True)), runner("b", capacity=Capacity(tags=("gpu",)))],
            "needs kvm and tag gpu; none of 2 runners has all of it: a lacks tag gpu, b lacks kvm",
        ),
    ],
)
def test_what_no_runner_has_is_said(pool, runners, expected) -> None:
    assert lacking(pool, runners) == expected
