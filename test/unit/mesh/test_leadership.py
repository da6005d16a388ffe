"""Following a leader by its changelog: when it counts as silent, what a follower has then, and whose state counts."""

import pytest

from cloud_builder.adapters.memory.broker import MemoryBroker
from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.mesh import leadership
from cloud_builder.mesh.codec import encode
from cloud_builder.mesh.leadership import LeaderEpoch, StandbyReplica, latest_epoch
from cloud_builder.model.events import StateChanged
from cloud_builder.ports.broker import OutgoingRecord, Partition

STATE = "cb.state"


class FollowedChangelog:
    """A changelog, a follower of it, and a clock moved by hand."""

    def __init__(self):
        self.now, self.broker, self.state = 100.0, MemoryBroker(), MemoryState()
        self.broker.watermarks([STATE, "cb.runner"])
        self.tell("requests/r", {"sequence": 1}, "done", 7.0)
        self.lead("one", 3)

    def tell(self, entity, body, parent="", rank=0.0, read=0):
        """A packet."""
        positions = StateChanged.of(f"positions/{self.broker.incarnation()}", {"cb.intake/0": read, "cb.runner/0": 1})
        packet = [StateChanged.of(entity, body, parent, rank), positions]
        self.broker.append([encode(change, source="s", id="i", time=0.0) for change in packet])

    def lead(self, id, epoch):
        self.tell("leader/leader", {"id": id, "epoch": epoch, "at": 0.0})

    def follow(self):
        return StandbyReplica(self.broker, self.state, self.broker.incarnation(), lambda: self.now)

    def passes(self, follower, seconds, says=False):
        for _ in range(int(seconds * 2)):
            self.now += 0.5
            if says:
                self.lead("one", 3)
            follower.step(0.0)


@pytest.fixture
def changelog():
    return FollowedChangelog()


def test_a_leader_is_silent_from_when_all_was_read(changelog):
    follower = changelog.follower = changelog.follow()
    assert follower.silence == 0
    changelog.passes(follower, 0.5)
    assert (follower.silence, follower.leader) == (0, LeaderEpoch("one", 3))
    changelog.passes(follower, 9)
    assert follower.silence == 9


def test_a_leader_that_speaks_is_not_silent(changelog):
    follower = changelog.follow()
    changelog.passes(follower, 20, says=True)
    assert follower.silence == 0


def test_who_did_not_listen_heard_no_silence(changelog):
    follower = changelog.follow()
    changelog.passes(follower, 8)
    changelog.now += 1000
    follower.step(0.0)
    assert follower.silence == 0


def test_a_follower_has_what_the_leader_told_and_where_it_had_read_to(changelog):
    place = Partition("cb.intake", 0)
    changelog.broker.append([OutgoingRecord("cb.runner", b"r", b"x")] * 3)
    follower = changelog.follow()
    changelog.passes(follower, 1)
    changelog.tell("requests/r", None)
    changelog.tell("requests/s", {"sequence": 2}, "open", 2.0, read=5)
    follower.catch_up(lambda: None)
    assert [key for key, _ in changelog.state.find("requests")] == ["s"]
    positions = changelog.state.positions(changelog.broker.incarnation())
    assert (positions[place], positions[Partition("cb.runner", 0)]) == (5, 3)


def test_a_follower_goes_on_where_it_stopped(changelog):
    changelog.passes(changelog.follow(), 1)
    with changelog.state.transaction():
        changelog.state.delete("requests", "r")
    changelog.tell("requests/s", {"sequence": 2}, "open", 2.0)
    changelog.passes(changelog.follow(), 1)
    assert [key for key, _ in changelog.state.find("requests")] == ["s"]


def test_what_is_no_change_is_passed_over(changelog):
    changelog.broker.append(
        [
            OutgoingRecord(STATE, b"jobs/1", b'{"x'),
            OutgoingRecord(STATE, b"j\xff", b"{}"),
            OutgoingRecord(STATE, None, b""),
        ]
    )
    changelog.lead("two", 4)
    follower = changelog.follow()
    changelog.passes(follower, 1)
    assert follower.leader == LeaderEpoch("two", 4)


@pytest.mark.parametrize("behind", [0, 1, 30_000])
def test_the_last_reign_is_found_from_the_end(changelog, behind):
    changelog.lead("two", 4)
    record = encode(StateChanged.of("jobs/1", {}), source="s", id="i", time=0.0)
    changelog.broker.append([record] * behind)
    assert latest_epoch(changelog.broker) == LeaderEpoch("two", 4)


def test_nobody_led_yet():
    broker = MemoryBroker()
    broker.append([OutgoingRecord(STATE, b"jobs/1", b'{"entity_id":"jobs/1","body":{}}')])
    assert latest_epoch(broker) is None


def test_whose_state_it_is(changelog):
    assert leadership.is_empty(changelog.state)
    assert not leadership.is_replica(changelog.state)
    follower = changelog.follow()
    assert leadership.is_replica(changelog.state)
    changelog.passes(follower, 1)
    leadership.mark_leader(changelog.state)
    assert leadership.is_leader_state(changelog.state)
    assert not leadership.is_replica(changelog.state)
