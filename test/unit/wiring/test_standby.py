"""A scheduler that took the name, and was overtaken before it could begin to lead."""

from __future__ import annotations

from contextlib import ExitStack
from threading import Event

import pytest

from cloud_builder.adapters.memory.broker import MemoryBroker
from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.errors import Fenced
from cloud_builder.flow.scheduler import SchedulerFlow
from cloud_builder.mesh import leadership
from cloud_builder.mesh.codec import encode
from cloud_builder.mesh.leadership import Reign
from cloud_builder.model.events import StateChanged
from cloud_builder.model.settings import SchedulerSettings
from cloud_builder.model.topics import RUNNERS, STATE
from cloud_builder.ports.health import Unwatched
from cloud_builder.wiring.standby import Turn


class Taken(MemoryBroker):
    """Lets anybody take the name."""

    def take(self, name):
        self.ensure_topics([STATE, RUNNERS])

    def say(self, records):
        raise Fenced("another writes now")


def turn_of(broker, state, stack) -> Turn:
    turn = Turn.__new__(Turn)
    turn._broker, turn._state, turn._stack = broker, state, stack
    turn._settings, turn._pulse, turn._stop = None, Unwatched(), Event()
    return turn


def test_who_was_overtaken_before_it_began_follows_and_does_not_take_the_others_state_for_its_own():
    broker, state = Taken(), MemoryState()
    broker.take("cb-scheduler")
    with ExitStack() as stack:
        turn = turn_of(broker, state, stack)
        assert turn._at_once() == 1, "nobody has led"
        word = StateChanged.of("leader/leader", {"id": "two", "epoch": 1, "at": 0.0})
        where = StateChanged.of(f"positions/{broker.incarnation()}", {})
        broker.append([encode(one, source="s", id="i", time=0.0) for one in (word, where)])

        with pytest.raises(Fenced) as fenced:
            turn._lead(Reign("one", 1), lambda settings, stack: SchedulerFlow(SchedulerSettings(), "http://here"))
    assert fenced.value.is_certain
    assert leadership.reign_of(state) is None
    assert turn._at_once() is None, "started again it does not throw out the one that leads"
