"""The loop on a Kafka that is stopped and started again."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from cloud_builder.adapters.kafka.broker import KafkaBroker
from cloud_builder.adapters.sqlite.state import SqliteState
from cloud_builder.errors import Retryable
from cloud_builder.mesh.client import Client
from cloud_builder.mesh.codec import decode
from cloud_builder.mesh.deadletter import list_dead, retry
from cloud_builder.mesh.loop import Loop
from cloud_builder.model.events import BuildRequested, RequestRejected
from cloud_builder.model.role import Role
from cloud_builder.ports.broker import OutgoingRecord
from support.waiting import LIMIT, until


class RejectingFlow:
    """Rejects each request."""

    role = Role.REQUEST
    instance = ""

    def __init__(self):
        self.handled, self.ticks, self.broken = [], 0, False

    def restore(self, state): ...

    def republish(self, work): ...

    def handle(self, event, work):
        if self.broken:
            raise ValueError("broken")
        self.handled.append(event.payload.request_id)
        work.emit(RequestRejected(request_id=event.payload.request_id, code="x", message="no", rejected_at=work.now))

    def tick(self, work):
        self.ticks += 1

    def max_wait(self):
        return 0.1

    def stop(self, work):
        work.emit(RequestRejected(request_id="last", code="x", message="bye", rejected_at=work.now))


@pytest.fixture
def daemon(own_kafka_server, tmp_path):
    flow, stop = RejectingFlow(), Event()
    broker, state = KafkaBroker(own_kafka_server.settings), SqliteState(tmp_path / "state.sqlite")
    thread = Thread(target=Loop(flow, broker, state).run, args=(stop,))
    thread.start()
    until(lambda: flow.ticks, "the first tick")
    yield flow, stop, thread
    stop.set()
    thread.join(LIMIT)
    state.close()


def answers(broker) -> list[str]:
    oldest = {partition: low for partition, (low, _) in broker.watermarks(["cb.intake"]).items()}
    consumer, found = broker.consumer(oldest), []
    while not consumer.is_at_end():
        found += [decode(record, "").payload.request_id for record in consumer.poll(500, 0.2)]
    consumer.close()
    return found


def test_daemon_survives_a_failing_event_and_an_outage(daemon, own_kafka_server, caplog):
    caplog.set_level("INFO", logger="cb.mesh")
    flow, stop, thread = daemon
    broker = KafkaBroker(own_kafka_server.settings)
    client = Client(broker, "test")

    client.send(BuildRequested(source="s", all=True, request_id="a"))
    until(lambda: flow.handled == ["a"], "request a")

    flow.broken = True
    client.send(BuildRequested(source="s", all=True, request_id="b"))
    until(lambda: list_dead(broker), "the dead letter")
    flow.broken = False
    (letter,) = list_dead(broker)
    assert letter.reason == "ValueError: broken"
    retry(broker, letter.dead_id)
    until(lambda: flow.handled == ["a", "b"], "request b again")

    own_kafka_server.stop()
    until(
        lambda: any("broker unreachable" in record.message for record in caplog.records),
        "a log line about the outage",
    )
    ticks = flow.ticks
    until(lambda: flow.ticks > ticks + 3, "ticks without a broker")
    own_kafka_server.start()
    until(lambda: sent(client, BuildRequested(source="s", all=True, request_id="c")), "the broker to be back")
    until(lambda: flow.handled == ["a", "b", "c"], "request c")
    assert [record.message for record in caplog.records].count("broker unreachable, waiting") == 1

    stop.set()
    thread.join(LIMIT)
    assert not thread.is_alive()
    assert list(dict.fromkeys(answers(broker))) == ["a", "b", "c", "last"]


def test_plain_json_is_handled_and_broken_json_is_a_dead_letter(daemon, own_kafka_server):
    flow, _, _ = daemon
    broker = KafkaBroker(own_kafka_server.settings)
    producer = broker.producer()
    producer.send([OutgoingRecord("cb.request", None, b"{")], LIMIT)
    producer.send([OutgoingRecord("cb.request", None, b'{"source": "s", "units": ["a"], "request_id": "ci-1"}')], LIMIT)
    until(lambda: flow.handled == ["ci-1"], "request ci-1")
    until(lambda: list_dead(broker), "the dead letter")
    (letter,) = list_dead(broker)
    assert "not valid JSON" in letter.reason
    producer.close()


def sent(client, payload) -> bool:
    try:
        client.send(payload, timeout=5)
    except Retryable:
        return False
    return True
