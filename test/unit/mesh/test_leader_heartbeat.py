"""The leader's word while its loop works on something long."""

import time

import pytest

from cloud_builder.errors import Fenced
from cloud_builder.mesh.changelog import change_of
from cloud_builder.mesh.leader_heartbeat import MAX_STALL, LeaderHeartbeat
from cloud_builder.mesh.leadership import LeaderEpoch
from cloud_builder.ports.broker import Partition, Record
from support.waiting import until


class RecordingSender:
    """Records what is sent; `trouble` is raised instead, once."""

    def __init__(self):
        self.heard, self.trouble = [], None

    def send(self, records):
        if self.trouble is not None:
            trouble, self.trouble = self.trouble, None
            raise trouble
        self.heard += records


class HandClock:
    """A clock that a test moves; it counts how often it was read."""

    def __init__(self):
        self.now, self.reads = 0.0, 0

    def __call__(self):
        self.reads += 1
        return self.now


@pytest.fixture
def ear():
    return RecordingSender()


@pytest.fixture
def speaking(ear):
    opened = []

    def speak(every, clock=time.monotonic):
        opened.append(LeaderHeartbeat(LeaderEpoch("one", 3), ear.send, every, clock))
        opened[-1].start()
        return opened[-1]

    yield speak
    for one in opened:
        one.close()


def test_a_loop_that_works_long_is_spoken_for(ear, speaking):
    speaking(0.01)
    until(lambda: len(ear.heard) >= 2, "the loop is spoken for")
    said = ear.heard[0]
    put = change_of(Record(Partition(said.topic, 0), 0, said.key, said.value))
    assert (said.topic, said.key) == ("cb.state", b"leader/leader")
    assert '"epoch": 3' in put.body.json


def test_it_goes_on_after_trouble(ear, speaking):
    ear.trouble = Fenced("another")
    speaking(0.01)
    until(lambda: len(ear.heard) >= 1, "the loop is spoken for")
    assert ear.trouble is None


def test_a_loop_that_does_nothing_for_minutes_is_not_spoken_for(ear, speaking):
    clock = HandClock()
    speaking(0.01, clock)

    def wait_for_looks(number):
        """A look that began before the clock was moved is not one of them."""
        seen = clock.reads
        until(lambda: clock.reads > seen + number, "the heartbeat thread looks at the clock")

    clock.now = MAX_STALL - 1.0
    until(lambda: ear.heard, "the loop is spoken for")
    clock.now = MAX_STALL + 1.0
    wait_for_looks(1)
    heard = len(ear.heard)
    wait_for_looks(5)
    assert len(ear.heard) == heard
