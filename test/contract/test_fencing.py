"""The producer that is the only one of its name, against a real Kafka."""

from __future__ import annotations

from uuid import uuid4

import pytest

from cloud_builder.adapters.kafka.fenced import FencingBroker
from cloud_builder.errors import Fenced, Rejected, Retryable
from cloud_builder.model.outcome import Role
from cloud_builder.model.topics import Topic
from cloud_builder.ports.broker import OutgoingRecord, Partition
from support.waiting import LIMIT, until

WITHIN = LIMIT


def patiently(action):
    """Repeats the action until the broker is ready for it."""

    def is_done() -> bool:
        try:
            action()
        except Retryable:
            return False
        return True

    until(is_done, "the broker")


class FencedTopic:
    """A topic, a name, and who has it."""

    def __init__(self, settings):
        self.settings, self.topic, self.name = settings, f"cb.test-{uuid4().hex[:8]}", f"test-{uuid4().hex[:8]}"
        FencingBroker(settings).ensure_topics([Topic(self.topic, Role.CLIENT)])

    def take(self):
        """A young cluster makes room for transactions first."""
        broker = FencingBroker(self.settings)
        patiently(lambda: broker.acquire(self.name))
        return broker.producer()

    def records(self, *values):
        return [OutgoingRecord(self.topic, b"k", value) for value in values]

    def read(self):
        consumer = FencingBroker(self.settings).consumer({Partition(self.topic, 0): 0})
        found = []

        def read_on() -> bool:
            found.extend(record.value for record in consumer.poll(100, 0.5))
            return consumer.is_at_end()

        until(read_on, "the end of the topic")
        consumer.close()
        return found


@pytest.fixture
def fenced_topic(kafka):
    return FencedTopic(kafka)


def test_all_of_a_send_is_seen_by_readers(fenced_topic):
    producer = fenced_topic.take()
    producer.send(fenced_topic.records(b"1", b"2"), WITHIN)
    producer.post(fenced_topic.records(b"3")).wait(0.0)
    assert fenced_topic.read() == [b"1", b"2", b"3"]


def test_a_tombstone_is_a_record_without_a_value(fenced_topic):
    fenced_topic.take().send(fenced_topic.records(None), WITHIN)
    assert fenced_topic.read() == [None]


def test_who_takes_the_name_ends_the_one_who_had_it(fenced_topic):
    old = fenced_topic.take()
    old.send(fenced_topic.records(b"old"), WITHIN)
    new = fenced_topic.take()
    new.send(fenced_topic.records(b"new"), WITHIN)
    with pytest.raises(Fenced) as fenced:
        old.send(fenced_topic.records(b"too late"), WITHIN)
    assert fenced.value.is_certain
    with pytest.raises(Fenced):
        old.send(fenced_topic.records(b"later still"), WITHIN)
    new.send(fenced_topic.records(b"newer"), WITHIN)
    assert fenced_topic.read() == [b"old", b"new", b"newer"]


def test_a_record_that_is_too_large_takes_its_neighbours_along_and_is_the_only_harm(fenced_topic):
    producer = fenced_topic.take()
    with pytest.raises(Rejected):
        producer.send(fenced_topic.records(b"small", bytes(20 * 1024 * 1024)), WITHIN)
    producer.send(fenced_topic.records(b"small"), WITHIN)
    assert fenced_topic.read() == [b"small"]


def test_a_broker_that_comes_back_has_what_was_sent_again(own_kafka_server):
    fenced_topic = FencedTopic(own_kafka_server.settings)
    producer = fenced_topic.take()
    producer.send(fenced_topic.records(b"before"), WITHIN)
    own_kafka_server.stop()
    with pytest.raises(Retryable):
        producer.send(fenced_topic.records(b"meanwhile"), 0.5)
    own_kafka_server.start()
    try:
        patiently(lambda: producer.send(fenced_topic.records(b"meanwhile"), 5.0))
    except Fenced as lost:  # a slow machine: the broker gave the transaction up, and nobody has the name
        assert not lost.is_certain
        fenced_topic.take().send(fenced_topic.records(b"meanwhile"), WITHIN)
    assert list(dict.fromkeys(fenced_topic.read())) == [b"before", b"meanwhile"]
