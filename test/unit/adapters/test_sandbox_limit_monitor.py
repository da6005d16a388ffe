"""The limit that ends a run, as a table of samples."""

from __future__ import annotations

import pytest

from cloud_builder.adapters.sandbox.limit_monitor import LimitMonitor
from cloud_builder.model.limits import Limits
from cloud_builder.ports.sandbox import EndReason

LIMITS = Limits(time=100, silence=10, log=1000, memory=1000, disk=1000, processes=10)


def monitor_of(limits: Limits | None = LIMITS) -> LimitMonitor:
    return LimitMonitor(limits, started=0.0, free_at_start=5000)


@pytest.mark.parametrize(
    ("samples", "exceeded"),
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
def test_first_exceeded_limit_is_named(samples, exceeded):
    monitor = monitor_of()
    for name, *arguments in samples:
        getattr(monitor, name)(*arguments)
    assert monitor.exceeded is exceeded


MIB = 2**20


@pytest.mark.parametrize(
    ("limit", "used", "interval"),
    [(4096, 0, 0.25), (4096, 3072, 0.25), (4096, 3584, 0.125), (4096, 4090, 0.025), (200, 0, 200 / 4096)],
)
def test_memory_is_sampled_more_often_near_its_limit(limit, used, interval):
    monitor = LimitMonitor(Limits(memory=limit * MIB), started=0.0, free_at_start=0)
    monitor.memory(used * MIB)
    assert monitor.sample_interval == pytest.approx(interval)


def test_shared_memory_counts_up_to_its_growth_on_the_machine():
    monitor = LimitMonitor(Limits(memory=100 * MIB), started=0.0, free_at_start=0, shared_at_start=50 * MIB)
    assert not monitor.wants_shared(10.0, 60 * MIB), "too little"
    assert monitor.wants_shared(10.0, 100 * MIB)
    assert not monitor.wants_shared(10.1, 100 * MIB), "just measured"
    monitor.shared(900 * MIB)
    monitor.memory(40 * MIB)
    assert monitor.exceeded is None
    assert monitor.peak_memory == 90 * MIB
    monitor.memory(51 * MIB)
    assert monitor.exceeded is EndReason.MEMORY


def test_freed_shared_memory_does_not_count():
    monitor = LimitMonitor(Limits(memory=100 * MIB), started=0.0, free_at_start=0)
    assert monitor.wants_shared(10.0, 90 * MIB)
    monitor.shared(90 * MIB)
    assert not monitor.wants_shared(11.0, 0)
    monitor.memory(50 * MIB)
    assert monitor.exceeded is None


def test_run_without_limits_is_not_ended():
    monitor = monitor_of(None)
    monitor.output(1e6, 10**12)
    monitor.memory(10**15)
    monitor.disk(10**15)
    monitor.clock(1e9)
    assert monitor.exceeded is None
    assert not monitor.wants_disk(1e9, 0)
    assert monitor.peak_memory == 10**15


@pytest.mark.parametrize(
    ("now", "free", "is_due"),
    [(1.0, 5000, False), (3.0, 5000, False), (3.0, 3999, True), (1.0, 3999, False), (31.0, 5000, True)],
    ids=["young", "nothing used", "used up", "just measured", "from time to time"],
)
def test_disk_is_measured_when_it_may_be_full(now, free, is_due):
    assert monitor_of().wants_disk(now, free) is is_due
