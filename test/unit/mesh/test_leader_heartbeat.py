"""The leader's heartbeat during a long transaction."""

import time

import pytest

from cloud_builder.errors import Fenced
from cloud_builder.mesh.changelog import change_of
from cloud_builder.mesh.leader_heartbeat import MAX_STALL, LeaderHeartbeat
from cloud_builder.mesh.leadership import LeaderEpoch
from cloud_builder.ports.broker import Partition, Record
from support.waiting import until


class RecordingSender:
    """Collects the sent records. `error` is raised instead, once."""

    def __init__(self):
        self.sent, self.error = [], None

    def send(self, records):
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.sent += records


class HandClock:
    """A clock that a test moves; it counts how often it was read."""

    def __init__(self):
        self.now, self.reads = 0.0, 0

    def __call__(self):
        self.reads += 1
        return self.now


@pytest.fixture
def sender():
    return RecordingSender()


@pytest.fixture
def start_heartbeat(sender):
    opened = []

    def start(every, clock=time.monotonic):
        opened.append(LeaderHeartbeat(LeaderEpoch("one", 3), sender.send, every, clock))
        opened[-1].start()
        return opened[-1]

    yield start
    for heartbeat in opened:
        heartbeat.close()


def test_heartbeat_is_sent_during_a_long_transaction(sender, start_heartbeat):
    start_heartbeat(0.01)
    until(lambda: len(sender.sent) >= 2, "a heartbeat")
    first = sender.sent[0]
    put = change_of(Record(Partition(first.topic, 0), 0, first.key, first.value))
    assert (first.topic, first.key) == ("cb.state", b"leader/leader")
    assert '"epoch": 3' in put.body.json


def test_heartbeat_continues_after_an_error(sender, start_heartbeat):
    sender.error = Fenced("another")
    start_heartbeat(0.01)
    until(lambda: len(sender.sent) >= 1, "a heartbeat")
    assert sender.error is None


def test_heartbeat_stops_when_the_loop_makes_no_progress(sender, start_heartbeat):
    clock = HandClock()
    start_heartbeat(0.01, clock)

    def wait_for_reads(number):
        """A read that began before the clock was moved does not count."""
        before = clock.reads
        until(lambda: clock.reads > before + number, "the heartbeat thread reads the clock")

    clock.now = MAX_STALL - 1.0
    until(lambda: sender.sent, "a heartbeat")
    clock.now = MAX_STALL + 1.0
    wait_for_reads(1)
    count = len(sender.sent)
    wait_for_reads(5)
    assert len(sender.sent) == count
