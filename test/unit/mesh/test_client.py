"""The client that queries cb-info over the broker."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from cloud_builder.adapters.memory.broker import MemoryBroker
from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.errors import Retryable
from cloud_builder.mesh.client import Client
from cloud_builder.mesh.loop import Loop
from cloud_builder.model.events import InfoAnswered
from cloud_builder.model.role import Role
from support.waiting import LIMIT


class Echo:
    """Answers every query with its own arguments, and counts the queries."""

    role = Role.INFO
    instance = ""
    queries = 0

    def restore(self, state): ...

    def republish(self, work): ...

    def handle(self, event, work):
        self.queries += 1
        query = event.payload
        work.emit(InfoAnswered(query_id=query.query_id, data={"what": query.what, **query.args}))

    def tick(self, work): ...

    def max_wait(self):
        return 0.05

    def stop(self, work): ...


@pytest.fixture
def broker():
    return MemoryBroker()


@pytest.fixture
def info(broker):
    flow, stop, ready, state = Echo(), Event(), Event(), MemoryState()
    flow.tick = lambda work: ready.set()
    thread = Thread(target=Loop(flow, broker, state).run, args=(stop,))
    thread.start()
    assert ready.wait(LIMIT)
    yield flow
    stop.set()
    thread.join(LIMIT)
    state.close()


def test_query_gets_its_own_answer(broker, info):
    client, other = Client(broker, "one"), Client(broker, "two")
    assert client.query("units", {"source": "s"}).data == {"what": "units", "source": "s"}
    assert other.query("jobs").data == {"what": "jobs"}
    assert client.query("again").data == {"what": "again"}
    assert info.queries == 3


def test_query_without_cb_info_ends_in_time_with_a_hint(broker):
    with pytest.raises(Retryable, match="no answer from cb-info") as caught:
        Client(broker).query("units", timeout=0.2)
    assert caught.value.code == "no-answer"


def test_queries_from_before_the_first_start_are_not_answered(broker):
    with pytest.raises(Retryable):
        Client(broker).query("old", timeout=0.05)
    flow, state = Echo(), MemoryState()
    loop = Loop(flow, broker, state)
    assert loop.start(Event())
    loop.step(Event())
    loop.finish()
    state.close()
    assert flow.queries == 0
