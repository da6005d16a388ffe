"""The producer that is the only one of its name, against a real Kafka."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest

from cloud_builder.adapters.kafka.fenced import FencingBroker
from cloud_builder.errors import Fenced, Rejected, Retryable
from cloud_builder.model.outcome import Role
from cloud_builder.model.topics import Topic
from cloud_builder.ports.broker import Outgoing, Partition

WITHIN = 60.0


def patiently(action):
    until = time.monotonic() + WITHIN
    while True:
        try:
            return action()
        except Retryable:
            assert time.monotonic() < until


class Stage:
    """A topic, a name, and who has it."""

    def __init__(self, settings):
        self.settings, self.topic, self.name = settings, f"cb.test-{uuid4().hex[:8]}", f"test-{uuid4().hex[:8]}"
        FencingBroker(settings).ensure_topics([Topic(self.topic, Role.CLIENT)])

    def take(self):
        """A young cluster makes room for transactions first."""
        broker = FencingBroker(self.settings)
        patiently(lambda: broker.take(self.name))
        return broker.producer()

    def records(self, *values):
        return [Outgoing(self.topic, b"k", value) for value in values]

    def read(self):
        consumer = FencingBroker(self.settings).consumer({Partition(self.topic, 0): 0})
        found = []
        until = time.monotonic() + WITHIN
        while not consumer.is_at_end():
            found += [record.value for record in consumer.poll(100, 0.5)]
            assert time.monotonic() < until
        consumer.close()
        return found


@pytest.fixture
def stage(kafka):
    return Stage(kafka)


def test_all_of_a_send_is_seen_by_readers(stage):
    producer = stage.take()
    producer.send(stage.records(b"1", b"2"), WITHIN)
    producer.post(stage.records(b"3")).wait(0.0)
    assert stage.read() == [b"1", b"2", b"3"]


def test_a_tombstone_is_a_record_without_a_value(stage):
    stage.take().send(stage.records(None), WITHIN)
    assert stage.read() == [None]


def test_who_takes_the_name_ends_the_one_who_had_it(stage):
    old = stage.take()
    old.send(stage.records(b"old"), WITHIN)
    new = stage.take()
    new.send(stage.records(b"new"), WITHIN)
    with pytest.raises(Fenced) as fenced:
        old.send(stage.records(b"too late"), WITHIN)
    assert fenced.value.is_certain
    with pytest.raises(Fenced):
        old.send(stage.records(b"later still"), WITHIN)
    new.send(stage.records(b"newer"), WITHIN)
    assert stage.read() == [b"old", b"new", b"newer"]


def test_a_record_that_is_too_large_takes_its_neighbours_along_and_is_the_only_harm(stage):
    producer = stage.take()
    with pytest.raises(Rejected):
        producer.send(stage.records(b"small", bytes(20 * 1024 * 1024)), WITHIN)
    producer.send(stage.records(b"small"), WITHIN)
    assert stage.read() == [b"small"]


def test_a_broker_that_comes_back_has_what_was_sent_again(own_kafka_server):
    stage = Stage(own_kafka_server.settings)
    producer = stage.take()
    producer.send(stage.records(b"before"), WITHIN)
    own_kafka_server.stop()
    with pytest.raises(Retryable):
        producer.send(stage.records(b"meanwhile"), 0.5)
    own_kafka_server.start()
    try:
        patiently(lambda: producer.send(stage.records(b"meanwhile"), 5.0))
    except Fenced as lost:  # a slow machine: the broker gave the transaction up, and nobody has the name
        assert not lost.is_certain
        stage.take().send(stage.records(b"meanwhile"), WITHIN)
    assert list(dict.fromkeys(stage.read())) == [b"before", b"meanwhile"]
