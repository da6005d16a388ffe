"""Readers of the embedded broker that sleep while nothing is sent lose no record, with or without a datagram."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import Producer as PlainProducer

from cloud_builder.adapters.kafka import embedded_consumer
from cloud_builder.adapters.kafka.broker import KafkaBroker
from cloud_builder.adapters.kafka.embedded import EmbeddedBroker
from cloud_builder.adapters.kafka.embedded_consumer import EmbeddedConsumer
from cloud_builder.errors import Retryable
from cloud_builder.model.role import Role
from cloud_builder.model.settings import BrokerSettings
from cloud_builder.model.topics import Topic
from cloud_builder.ports.broker import OutgoingRecord
from support.waiting import LIMIT, until

NEVER = 3600.0


@pytest.fixture
def host(tmp_path):
    found = EmbeddedBroker(tmp_path / "wake")
    yield found
    found.close()


@pytest.fixture
def settings(host):
    return BrokerSettings(**host.start())


@pytest.fixture
def broker(settings):
    return KafkaBroker(settings)


@pytest.fixture
def never_checks(monkeypatch):
    """Turns checks off: only a datagram wakes a reader."""
    monkeypatch.setattr(embedded_consumer, "CHECK_INTERVAL", NEVER)


def asleep(broker, topic) -> EmbeddedConsumer:
    consumer = broker.consumer({partition: end for partition, (_, end) in broker.watermarks([topic]).items()})
    assert isinstance(consumer, EmbeddedConsumer)
    until(lambda: consumer.poll(10, 0.05) == [] and consumer.is_asleep, "the reader to sleep")
    return consumer


def next_of(consumer):
    return [record.value for record in until(lambda: consumer.poll(10, 0.1), "a record")]


def send_by_another_program(settings, topic: str) -> None:
    """Sends a record as a CI job does, without a datagram."""
    plain = PlainProducer({"bootstrap.servers": settings.bootstrap})
    plain.produce(topic, b"foreign", b"k")
    assert plain.flush(LIMIT) == 0


@pytest.mark.parametrize("number", [1, 3, 200])
def test_send_wakes_a_sleeping_reader(never_checks, broker, topic, number):
    consumer, producer = asleep(broker, topic), broker.producer()
    producer.send([OutgoingRecord(topic, b"k", b"sent")] * number, LIMIT)
    found = []
    while len(found) < number:
        found += next_of(consumer)
    assert found == [b"sent"] * number


def test_reader_is_woken_repeatedly(never_checks, broker, topic):
    consumer, producer = asleep(broker, topic), broker.producer()
    for number in range(30):
        producer.send([OutgoingRecord(topic, str(number).encode(), str(number).encode())], LIMIT)
        assert next_of(consumer) == [str(number).encode()]
        until(lambda: consumer.poll(10, 0.05) == [] and consumer.is_asleep, "the reader to sleep")


def test_best_effort_record_wakes_a_reader(never_checks, broker, topic):
    consumer = asleep(broker, topic)
    broker.producer().send_best_effort(OutgoingRecord(topic, b"k", b"soon"))
    assert next_of(consumer) == [b"soon"]


def test_confirmation_of_a_post_wakes_a_reader(never_checks, broker, topic):
    consumer, producer = asleep(broker, topic), broker.producer()
    pending = producer.post([OutgoingRecord(topic, b"k", b"m")] * 1000)
    until(pending.is_done, "the broker's confirmation")
    found = []
    while len(found) < 1000:
        found += next_of(consumer)


def test_record_of_another_program_is_found_by_the_next_check(broker, settings, topic):
    consumer = asleep(broker, topic)
    send_by_another_program(settings, topic)
    assert next_of(consumer) == [b"foreign"]


def test_topics_of_clients_are_checked_more_often(broker):
    broker.ensure_topics([Topic("cb.request", Role.CLIENT), Topic("cb.job", Role.SCHEDULER)])
    assert asleep(broker, "cb.request").check_interval < asleep(broker, "cb.job").check_interval


def test_reader_without_its_socket_finds_records_by_its_next_check(broker, settings, topic):
    consumer = asleep(broker, topic)
    for entry in Path(settings.wake_directory).iterdir():
        entry.unlink()
    broker.producer().send([OutgoingRecord(topic, b"k", b"unannounced")], LIMIT)
    assert next_of(consumer) == [b"unannounced"]


def test_sender_without_the_directory_sends(broker, settings, topic):
    consumer = asleep(broker, topic)
    elsewhere = settings.model_copy(update={"wake_directory": settings.wake_directory + "-absent"})
    KafkaBroker(elsewhere).producer().send([OutgoingRecord(topic, b"k", b"unannounced")], LIMIT)
    assert next_of(consumer) == [b"unannounced"]


def test_reader_that_cannot_make_a_socket_stays_awake(settings, topic, tmp_path):
    (tmp_path / "file").touch()
    broker = KafkaBroker(settings.model_copy(update={"wake_directory": str(tmp_path / "file")}))
    consumer = broker.consumer({partition: end for partition, (_, end) in broker.watermarks([topic]).items()})
    assert not isinstance(consumer, EmbeddedConsumer)
    broker.producer().send([OutgoingRecord(topic, b"k", b"sent")], LIMIT)
    assert next_of(consumer) == [b"sent"]


def test_sleeping_reader_notices_an_outage(host, broker, topic):
    consumer = asleep(broker, topic)
    host.close()
    with pytest.raises(Retryable, match="cannot be reached"):
        until(lambda: consumer.poll(10, 0.05), "the reader to notice")


def test_new_broker_removes_the_sockets_of_killed_readers(tmp_path):
    (tmp_path / "wake").mkdir()
    (tmp_path / "wake" / "left").touch()
    host = EmbeddedBroker(tmp_path / "wake")
    host.start()
    assert list((tmp_path / "wake").iterdir()) == []
    host.close()
