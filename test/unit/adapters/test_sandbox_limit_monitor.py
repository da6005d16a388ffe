"""Which limit ends a run, as a table of what was seen."""

from __future__ import annotations

import pytest

from cloud_builder.adapters.sandbox.limit_monitor import LimitMonitor
from cloud_builder.model.limits import Limits
from cloud_builder.ports.sandbox import EndReason

LIMITS = Limits(time=100, silence=10, log=1000, memory=1000, disk=1000, processes=10)


def watch(limits: Limits | None = LIMITS) -> LimitMonitor:
    return LimitMonitor(limits, started=0.0, free_at_start=5000)


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        ([], None),
        ([("clock", 9.9)], None),
        ([("clock", 10.1)], EndReason.SILENCE),
        ([("output", 5.0, 1), ("clock", 14.0)], None),
        ([("output", 95.0, 1), ("clock", 100.5)], EndReason.TIME),
        ([("output", 1.0, 1000)], None),
        ([("output", 1.0, 600), ("output", 2.0, 600)], EndReason.LOG),
        ([("memory", 1000)], None),
        ([("memory", 1001)], EndReason.MEMORY),
        ([("disk", 1001)], EndReason.DISK),
        ([("processes", 10)], None),
        ([("processes", 11)], EndReason.PROCESSES),
        ([("memory", 2000), ("disk", 2000), ("clock", 200.0)], EndReason.MEMORY),
    ],
)
def test_the_first_limit_reached_is_named(seen, verdict):
    one = watch()
    for name, *arguments in seen:
        getattr(one, name)(*arguments)
    assert one.exceeded is verdict


MIB = 2**20


def test_memory_in_files_counts_with_the_rest_but_no_more_than_the_machine_has_got_since():
    one = LimitMonitor(Limits(memory=100 * MIB), started=0.0, free_at_start=0, shared_at_start=50 * MIB)
    assert not one.wants_shared(10.0, 60 * MIB), "too little"
    assert one.wants_shared(10.0, 100 * MIB)
    assert not one.wants_shared(10.1, 100 * MIB), "just measured"
    one.shared(900 * MIB)
    one.memory(40 * MIB)
    assert one.exceeded is None
    assert one.peak_memory == 90 * MIB
    one.memory(51 * MIB)
    assert one.exceeded is EndReason.MEMORY


def test_memory_in_files_that_is_gone_counts_no_more():
    one = LimitMonitor(Limits(memory=100 * MIB), started=0.0, free_at_start=0)
    assert one.wants_shared(10.0, 90 * MIB)
    one.shared(90 * MIB)
    assert not one.wants_shared(11.0, 0)
    one.memory(50 * MIB)
    assert one.exceeded is None


def test_without_limits_nothing_ends_it():
    one = watch(None)
    one.output(1e6, 10**12)
    one.memory(10**15)
    one.disk(10**15)
    one.clock(1e9)
    assert one.exceeded is None
    assert not one.wants_disk(1e9, 0)
    assert one.peak_memory == 10**15


@pytest.mark.parametrize(
    ("now", "free", "wanted"),
    [(1.0, 5000, False), (3.0, 5000, False), (3.0, 3999, True), (1.0, 3999, False), (31.0, 5000, True)],
    ids=["young", "nothing used", "used up", "just measured", "from time to time"],
)
def test_the_disk_is_measured_when_it_may_be_full(now, free, wanted):
    assert watch().wants_disk(now, free) is wanted
