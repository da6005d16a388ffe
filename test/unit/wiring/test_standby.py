"""A scheduler that took the name, and was overtaken before it could begin to lead."""

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


class Taken(MemoryBroker):
    """Lets anybody take the name, and counts how often."""

    taken = 0

    def acquire(self, name):
        self.taken += 1

    def send_now(self, records):
        raise Fenced("another writes now")


def test_who_was_overtaken_before_it_began_follows_and_does_not_take_the_others_state_for_its_own(tmp_path):
    broker, stop = Taken(), Event()
    settings = Settings(home=tmp_path, cache=tmp_path)
    broker.ensure_topics([STATE, RUNNERS])

    def take_a_turn(assemble):
        with ExitStack() as stack:
            turn = StandbySession(settings, tmp_path / "state.sqlite", stack, NullReporter(), stop, broker=broker)
            turn.connect()
            turn.run(assemble, lead_at_once=True)

    def overtaken(_, stack):
        """The name is taken, and cb.state is not read yet: the other one writes there in between."""
        word = StateChanged.of("leader/leader", {"id": "two", "epoch": 1, "at": 0.0})
        where = StateChanged.of(f"positions/{broker.incarnation()}", {})
        broker.append([encode(one, source="s", id="i", time=0.0) for one in (word, where)])
        return SchedulerFlow(SchedulerSettings(), "http://here")

    with pytest.raises(Fenced) as fenced:
        take_a_turn(overtaken)
    assert fenced.value.is_certain
    assert broker.taken == 1
    with closing(SqliteState(tmp_path / "state.sqlite")) as state:
        assert leadership.epoch_of(state) is None

    stop.set()
    take_a_turn(overtaken)
    assert broker.taken == 1, "started again it does not throw out the one that leads"
