"""A scheduler that acquired the transactional id while another one became the leader."""

from __future__ import annotations

from contextlib import ExitStack, closing
from threading import Event

import pytest

from cloud_builder.adapters.memory.broker import MemoryBroker
from cloud_builder.adapters.sqlite.state import SqliteState
from cloud_builder.errors import Fenced
from cloud_builder.flow.scheduler import SchedulerFlow
from cloud_builder.mesh import leadership
from cloud_builder.mesh.codec import encode
from cloud_builder.model.events import StateChanged
from cloud_builder.model.settings import SchedulerSettings, Settings
from cloud_builder.model.topics import RUNNERS, STATE
from cloud_builder.ports.health import NullReporter
from cloud_builder.wiring.standby import StandbySession


class AcquirableBroker(MemoryBroker):
    """A broker whose transactional id any process acquires; counts the acquisitions."""

    acquisitions = 0

    def acquire(self, name):
        self.acquisitions += 1

    def send_now(self, records):
        raise Fenced("another writes now")


def test_standby_follows_when_another_process_became_leader_first(tmp_path):
    broker, stop = AcquirableBroker(), Event()
    settings = Settings(home=tmp_path, cache=tmp_path)
    broker.ensure_topics([STATE, RUNNERS])

    def run_session(assemble):
        with ExitStack() as stack:
            session = StandbySession(settings, tmp_path / "state.sqlite", stack, NullReporter(), stop, broker=broker)
            session.connect()
            session.run(assemble, lead_at_once=True)

    def write_other_leader(_, stack):
        """Writes another leader after the id was acquired, and before cb.state is read."""
        leader = StateChanged.of("leader/leader", {"id": "two", "epoch": 1, "at": 0.0})
        positions = StateChanged.of(f"positions/{broker.incarnation()}", {})
        broker.append([encode(change, source="s", id="i", time=0.0) for change in (leader, positions)])
        return SchedulerFlow(SchedulerSettings(), "http://here")

    with pytest.raises(Fenced) as fenced:
        run_session(write_other_leader)
    assert fenced.value.is_certain
    assert broker.acquisitions == 1
    with closing(SqliteState(tmp_path / "state.sqlite")) as state:
        assert leadership.epoch_of(state) is None

    stop.set()
    run_session(write_other_leader)
    assert broker.acquisitions == 1, "a restarted scheduler does not fence the leader"
