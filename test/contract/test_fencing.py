"""The only producer of a transactional id, on a Kafka."""

from __future__ import annotations

from uuid import uuid4

import pytest

from cloud_builder.adapters.kafka.fenced import FencingBroker
from cloud_builder.errors import Fenced, Rejected, Retryable
from cloud_builder.model.role import Role
from cloud_builder.model.topics import Topic
from cloud_builder.ports.broker import OutgoingRecord, Partition
from support.waiting import LIMIT, until


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
    """A topic, a transactional id, and its producers."""

    def __init__(self, settings):
        self.settings, self.topic, self.name = settings, f"cb.test-{uuid4().hex[:8]}", f"test-{uuid4().hex[:8]}"
        FencingBroker(settings).ensure_topics([Topic(self.topic, Role.CLIENT)])

    def acquire(self):
        """Returns a new producer of the id. Waits: a new cluster first creates the topic of its transactions."""
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


def test_readers_see_all_records_of_a_send(fenced_topic):
    producer = fenced_topic.acquire()
    producer.send(fenced_topic.records(b"1", b"2"), LIMIT)
    producer.post(fenced_topic.records(b"3")).wait(0.0)
    assert fenced_topic.read() == [b"1", b"2", b"3"]


def test_a_tombstone_is_a_record_without_a_value(fenced_topic):
    fenced_topic.acquire().send(fenced_topic.records(None), LIMIT)
    assert fenced_topic.read() == [None]


def test_new_producer_fences_the_old_one(fenced_topic):
    old = fenced_topic.acquire()
    old.send(fenced_topic.records(b"old"), LIMIT)
    new = fenced_topic.acquire()
    new.send(fenced_topic.records(b"new"), LIMIT)
    with pytest.raises(Fenced) as fenced:
        old.send(fenced_topic.records(b"too late"), LIMIT)
    assert fenced.value.is_certain
    with pytest.raises(Fenced):
        old.send(fenced_topic.records(b"later still"), LIMIT)
    new.send(fenced_topic.records(b"newer"), LIMIT)
    assert fenced_topic.read() == [b"old", b"new", b"newer"]


def test_too_large_record_rejects_its_send_and_no_later_one(fenced_topic):
    producer = fenced_topic.acquire()
    with pytest.raises(Rejected):
        producer.send(fenced_topic.records(b"small", bytes(20 * 1024 * 1024)), LIMIT)
    producer.send(fenced_topic.records(b"small"), LIMIT)
    assert fenced_topic.read() == [b"small"]


def test_send_is_repeated_after_an_outage(own_kafka_server):
    fenced_topic = FencedTopic(own_kafka_server.settings)
    producer = fenced_topic.acquire()
    producer.send(fenced_topic.records(b"before"), LIMIT)
    own_kafka_server.stop()
    with pytest.raises(Retryable):
        producer.send(fenced_topic.records(b"meanwhile"), 0.5)
    own_kafka_server.start()
    try:
        patiently(lambda: producer.send(fenced_topic.records(b"meanwhile"), 5.0))
    except Fenced as lost:  # a slow machine: the broker gave the transaction up, and nobody has the name
        assert not lost.is_certain
        fenced_topic.acquire().send(fenced_topic.records(b"meanwhile"), LIMIT)
    assert list(dict.fromkeys(fenced_topic.read())) == [b"before", b"meanwhile"]
