"""Leadership: the silence of a leader, the replica of a standby, and the kinds of local state."""

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
    """A changelog, its replica, and a clock that a test moves."""

    def __init__(self):
        self.now, self.broker, self.state = 100.0, MemoryBroker(), MemoryState()
        self.broker.watermarks([STATE, "cb.runner"])
        self.write("requests/r", {"sequence": 1}, "done", 7.0)
        self.lead("one", 3)

    def write(self, entity, body, parent="", rank=0.0, read=0):
        """Writes a packet of one change."""
        positions = StateChanged.of(f"positions/{self.broker.incarnation()}", {"cb.intake/0": read, "cb.runner/0": 1})
        packet = [StateChanged.of(entity, body, parent, rank), positions]
        self.broker.append([encode(change, source="s", id="i", time=0.0) for change in packet])

    def lead(self, id, epoch):
        self.write("leader/leader", {"id": id, "epoch": epoch, "at": 0.0})

    def follow(self):
        return StandbyReplica(self.broker, self.state, self.broker.incarnation(), lambda: self.now)

    def pass_time(self, replica, seconds, heartbeats=False):
        for _ in range(int(seconds * 2)):
            self.now += 0.5
            if heartbeats:
                self.lead("one", 3)
            replica.step(0.0)


@pytest.fixture
def changelog():
    return FollowedChangelog()


def test_silence_begins_when_the_whole_changelog_was_read(changelog):
    replica = changelog.replica = changelog.follow()
    assert replica.silence == 0
    changelog.pass_time(replica, 0.5)
    assert (replica.silence, replica.leader) == (0, LeaderEpoch("one", 3))
    changelog.pass_time(replica, 9)
    assert replica.silence == 9


def test_leader_with_heartbeats_is_not_silent(changelog):
    replica = changelog.follow()
    changelog.pass_time(replica, 20, heartbeats=True)
    assert replica.silence == 0


def test_interrupted_replica_measures_no_silence(changelog):
    replica = changelog.follow()
    changelog.pass_time(replica, 8)
    changelog.now += 1000
    replica.step(0.0)
    assert replica.silence == 0


def test_replica_has_the_documents_and_positions_of_the_leader(changelog):
    partition = Partition("cb.intake", 0)
    changelog.broker.append([OutgoingRecord("cb.runner", b"r", b"x")] * 3)
    replica = changelog.follow()
    changelog.pass_time(replica, 1)
    changelog.write("requests/r", None)
    changelog.write("requests/s", {"sequence": 2}, "open", 2.0, read=5)
    replica.catch_up(lambda: None)
    assert [key for key, _ in changelog.state.find("requests")] == ["s"]
    positions = changelog.state.positions(changelog.broker.incarnation())
    assert (positions[partition], positions[Partition("cb.runner", 0)]) == (5, 3)


def test_replica_resumes_where_it_stopped(changelog):
    changelog.pass_time(changelog.follow(), 1)
    with changelog.state.transaction():
        changelog.state.delete("requests", "r")
    changelog.write("requests/s", {"sequence": 2}, "open", 2.0)
    changelog.pass_time(changelog.follow(), 1)
    assert [key for key, _ in changelog.state.find("requests")] == ["s"]


def test_records_that_are_no_change_are_skipped(changelog):
    changelog.broker.append(
        [
            OutgoingRecord(STATE, b"jobs/1", b'{"x'),
            OutgoingRecord(STATE, b"j\xff", b"{}"),
            OutgoingRecord(STATE, None, b""),
        ]
    )
    changelog.lead("two", 4)
    replica = changelog.follow()
    changelog.pass_time(replica, 1)
    assert replica.leader == LeaderEpoch("two", 4)


@pytest.mark.parametrize("behind", [0, 1, 30_000])
def test_latest_epoch_is_found_from_the_end(changelog, behind):
    changelog.lead("two", 4)
    record = encode(StateChanged.of("jobs/1", {}), source="s", id="i", time=0.0)
    changelog.broker.append([record] * behind)
    assert latest_epoch(changelog.broker) == LeaderEpoch("two", 4)


def test_latest_epoch_is_none_before_the_first_leader():
    broker = MemoryBroker()
    broker.append([OutgoingRecord(STATE, b"jobs/1", b'{"entity_id":"jobs/1","body":{}}')])
    assert latest_epoch(broker) is None


def test_state_is_empty_or_of_a_replica_or_of_a_leader(changelog):
    assert leadership.is_empty(changelog.state)
    assert not leadership.is_replica(changelog.state)
    replica = changelog.follow()
    assert leadership.is_replica(changelog.state)
    changelog.pass_time(replica, 1)
    leadership.mark_leader(changelog.state)
    assert leadership.is_leader_state(changelog.state)
    assert not leadership.is_replica(changelog.state)
