"""Which limit ends a run, as a table of what was seen."""

from __future__ import annotations

import pytest

from cloud_builder.adapters.sandbox.limit_monitor import Watch
from cloud_builder.model.limits import Limits
from cloud_builder.ports.sandbox import EndedBy

LIMITS = Limits(time=100, silence=10, log=1000, memory=1000, disk=1000, processes=10)


def watch(limits: Limits | None = LIMITS) -> Watch:
    return Watch(limits, started=0.0, free_at_start=5000)


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        ([], None),
        ([("clock", 9.9)], None),
        ([("clock", 10.1)], EndedBy.SILENCE),
        ([("output", 5.0, 1), ("clock", 14.0)], None),
        ([("output", 95.0, 1), ("clock", 100.5)], EndedBy.TIME),
        ([("output", 1.0, 1000)], None),
        ([("output", 1.0, 600), ("output", 2.0, 600)], EndedBy.LOG),
        ([("memory", 1000)], None),
        ([("memory", 1001)], EndedBy.MEMORY),
        ([("disk", 1001)], EndedBy.DISK),
        ([("processes", 10)], None),
        ([("processes", 11)], EndedBy.PROCESSES),
        ([("memory", 2000), ("disk", 2000), ("clock", 200.0)], EndedBy.MEMORY),
    ],
)
def test_the_first_limit_reached_is_named(seen, verdict):
    one = watch()
    for name, *arguments in seen:
        getattr(one, name)(*arguments)
    assert one.verdict is verdict


MIB = 2**20


def test_memory_in_files_counts_with_the_rest_but_no_more_than_the_machine_has_got_since():
    one = Watch(Limits(memory=100 * MIB), started=0.0, free_at_start=0, shared_at_start=50 * MIB)
    assert not one.wants_shared(10.0, 60 * MIB), "too little"
    assert one.wants_shared(10.0, 100 * MIB)
    assert not one.wants_shared(10.1, 100 * MIB), "just measured"
    one.shared(900 * MIB)
    one.memory(40 * MIB)
    assert one.verdict is None
    assert one.peak_memory == 90 * MIB
    one.memory(51 * MIB)
    assert one.verdict is EndedBy.MEMORY


def test_memory_in_files_that_is_gone_counts_no_more():
    one = Watch(Limits(memory=100 * MIB), started=0.0, free_at_start=0)
    assert one.wants_shared(10.0, 90 * MIB)
    one.shared(90 * MIB)
    assert not one.wants_shared(11.0, 0)
    one.memory(50 * MIB)
    assert one.verdict is None


def test_without_limits_nothing_ends_it():
    one = watch(None)
    one.output(1e6, 10**12)
    one.memory(10**15)
    one.disk(10**15)
    one.clock(1e9)
    assert one.verdict is None
    assert not one.wants_disk(1e9, 0)
    assert one.peak_memory == 10**15


@pytest.mark.parametrize(
    ("now", "free", "wanted"),
    [(1.0, 5000, False), (3.0, 5000, False), (3.0, 3999, True), (1.0, 3999, False), (31.0, 5000, True)],
    ids=["young", "nothing used", "used up", "just measured", "from time to time"],
)
def test_the_disk_is_measured_when_it_may_be_full(now, free, wanted):
    assert watch().wants_disk(now, free) is wanted
