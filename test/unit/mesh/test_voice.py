"""The leader's word while its loop works on something long."""

import time

import pytest

from cloud_builder.errors import Fenced
from cloud_builder.mesh import leader_heartbeat
from cloud_builder.mesh.changelog import change_of
from cloud_builder.mesh.leader_heartbeat import Voice
from cloud_builder.mesh.leadership import Reign
from cloud_builder.ports.broker import Partition, Record


class Ear:
    """Hears what is said; `trouble` is raised instead, once."""

    def __init__(self):
        self.heard, self.trouble = [], None

    def send(self, records):
        if self.trouble is not None:
            trouble, self.trouble = self.trouble, None
            raise trouble
        self.heard += records

    def until(self, number):
        deadline = time.monotonic() + 10
        while len(self.heard) < number:
            assert time.monotonic() < deadline
            time.sleep(0.005)


@pytest.fixture
def ear():
    return Ear()


@pytest.fixture
def speaking(ear):
    opened = []

    def speak(every):
        opened.append(Voice(Reign("one", 3), ear.send, every))
        opened[-1].start()
        return opened[-1]

    yield speak
    for one in opened:
        one.close()


def test_a_loop_that_works_long_is_spoken_for(ear, speaking):
    speaking(0.01)
    ear.until(2)
    said = ear.heard[0]
    put = change_of(Record(Partition(said.topic, 0), 0, said.key, said.value))
    assert (said.topic, said.key) == ("cb.state", b"leader/leader")
    assert '"epoch": 3' in put.body.json


def test_it_goes_on_after_trouble(ear, speaking):
    ear.trouble = Fenced("another")
    speaking(0.01)
    ear.until(1)
    assert ear.trouble is None


def test_a_loop_that_does_nothing_for_minutes_is_not_spoken_for(ear, speaking, monkeypatch):
    monkeypatch.setattr(leader_heartbeat, "LONGEST_WORK", 0.05)
    silent = speaking(0.01)
    deadline = time.monotonic() + 10
    while time.monotonic() - silent._worked < 0.2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    heard = len(ear.heard)
    silent.close()
    assert len(ear.heard) == heard
    assert heard <= 6
