"""The contract of ports.broker: in memory, embedded in the wheel (readers that sleep, or stay awake), and Kafka."""

from __future__ import annotations

import time
from threading import Thread
from uuid import uuid4

import pytest

from cloud_builder.adapters.kafka.broker import KafkaBroker
from cloud_builder.adapters.kafka.embedded import EmbeddedBroker
from cloud_builder.adapters.memory.broker import MemoryBroker
from cloud_builder.errors import Retryable
from cloud_builder.model.role import Role
from cloud_builder.model.settings import BrokerSettings
from cloud_builder.model.topics import TOPICS, Topic
from cloud_builder.ports.broker import OutgoingRecord, Partition, partition_for
from support.waiting import LIMIT, until

BROKERS = ("memory", "embedded", "embedded_awake", "kafka")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    host = EmbeddedBroker(tmp_path_factory.mktemp("home") / "wake")
    yield BrokerSettings(**host.start())
    host.close()


@pytest.fixture(scope="module")
def embedded_awake():
    host = EmbeddedBroker()
    yield BrokerSettings(**host.start())
    host.close()


@pytest.fixture(params=BROKERS)
def broker(request):
    found = MemoryBroker() if request.param == "memory" else KafkaBroker(request.getfixturevalue(request.param))
    yield found
    found.close()


@pytest.fixture
def producer(broker):
    found = broker.producer()
    yield found
    found.close()


@pytest.fixture
def open_consumer(broker):
    opened = []

    def open_one(topic: str, positions=None):
        oldest = {partition: low for partition, (low, _) in broker.watermarks([topic]).items()}
        opened.append(broker.consumer(oldest if positions is None else positions))
        return opened[-1]

    yield open_one
    for consumer in opened:
        consumer.close()


def messages(topic: str, number: int, key: bytes | None = b"k") -> list[OutgoingRecord]:
    return [OutgoingRecord(topic, key, f"m{index}".encode()) for index in range(number)]


def read(consumer, number: int):
    found = []

    def poll() -> bool:
        found.extend(consumer.poll(number - len(found), 0.2))
        return len(found) >= number

    until(poll, lambda: f"{number} records, of which {len(found)} came")
    return found


def test_record_is_read_as_it_was_sent(topic, producer, open_consumer):
    headers = (("ce_id", b"1"), ("x", b"\xfe"), ("x", b"twice"), ("e", b""))
    sent = OutgoingRecord(topic, b"\x00key", b"\xff\x00value", headers)
    producer.send([sent], LIMIT)
    (record,) = read(open_consumer(topic), 1)

    assert (record.key, record.value, record.headers) == (sent.key, sent.value, sent.headers)
    assert (record.partition.topic, record.offset) == (topic, 0)
    assert abs(record.timestamp - time.time()) < 60


def test_a_record_may_have_no_key(topic, producer, open_consumer):
    producer.send([OutgoingRecord(topic, None, b"value")], LIMIT)
    assert read(open_consumer(topic), 1)[0].key is None


def test_records_of_one_key_arrive_in_order(topic, producer, open_consumer):
    for batch in (messages(topic, 300), messages(topic, 2)):
        producer.send(batch, LIMIT)
    values = [record.value for record in read(open_consumer(topic), 302)]
    assert values == [message.value for message in (*messages(topic, 300), *messages(topic, 2))]


def test_poll_returns_at_most_so_many_records_and_loses_none(topic, producer, open_consumer):
    producer.send(messages(topic, 25), LIMIT)
    consumer = open_consumer(topic)
    found = []
    while len(found) < 25:
        some = consumer.poll(7, 5)
        assert len(some) <= 7
        found += some
    assert [record.offset for record in found] == list(range(25))


def test_consumer_reads_from_the_given_position(topic, producer, open_consumer, broker):
    producer.send(messages(topic, 5), LIMIT)
    (partition,) = (partition for partition, (low, end) in broker.watermarks([topic]).items() if end > low)
    assert [record.value for record in read(open_consumer(topic, {partition: 3}), 2)] == [b"m3", b"m4"]


def test_position_at_the_end_reads_only_later_records(topic, producer, open_consumer, broker):
    producer.send(messages(topic, 3), LIMIT)
    ends = {partition: end for partition, (_, end) in broker.watermarks([topic]).items()}
    consumer = open_consumer(topic, ends)
    producer.send([OutgoingRecord(topic, b"k", b"later")], LIMIT)
    assert [record.value for record in read(consumer, 1)] == [b"later"]


def test_position_that_is_gone_continues_at_the_oldest_record(topic, producer, open_consumer, broker):
    producer.send(messages(topic, 3), LIMIT)
    (partition,) = (partition for partition, (low, end) in broker.watermarks([topic]).items() if end > low)
    assert [record.offset for record in read(open_consumer(topic, {partition: 1000}), 3)] == [0, 1, 2]


def test_the_watermarks_are_the_oldest_and_the_next_offset(topic, producer, broker):
    assert all(mark == (0, 0) for mark in broker.watermarks([topic]).values())
    producer.send(messages(topic, 4), LIMIT)
    assert sum(end - low for low, end in broker.watermarks([topic]).values()) == 4


def polls_nothing_at_end(consumer):
    assert consumer.poll(10, 0.05) == []
    return consumer.is_at_end()


def test_an_empty_topic_is_at_its_end(topic, open_consumer):
    consumer = open_consumer(topic)

    until(lambda: polls_nothing_at_end(consumer), "the end of the topic")


def test_end_is_reached_when_all_records_were_returned(topic, producer, open_consumer):
    producer.send(messages(topic, 10), LIMIT)
    consumer = open_consumer(topic)
    assert len(read(consumer, 9)) == 9
    assert not consumer.is_at_end()
    read(consumer, 1)

    until(lambda: polls_nothing_at_end(consumer), "the end of the topic")


def test_consumer_is_not_at_its_end_before_the_first_poll(topic, producer, open_consumer):
    producer.send(messages(topic, 1), LIMIT)
    assert not open_consumer(topic).is_at_end()


def test_a_poll_without_records_ends(topic, open_consumer):
    assert open_consumer(topic).poll(10, 0.2) == []


def test_poll_returns_as_soon_as_a_record_arrives(topic, producer, open_consumer):
    consumer = open_consumer(topic)
    producer.send(messages(topic, 1), LIMIT)
    read(consumer, 1)
    thread = Thread(target=producer.send, args=(messages(topic, 1), LIMIT))
    thread.start()
    assert len(consumer.poll(100, 3600)) == 1
    thread.join()


def test_best_effort_record_arrives(topic, producer, open_consumer):
    producer.send_best_effort(OutgoingRecord(topic, b"k", b"soon"))
    assert [record.value for record in read(open_consumer(topic), 1)] == [b"soon"]


def test_close_sends_queued_best_effort_records(topic, broker, open_consumer):
    producer = broker.producer()
    producer.send_best_effort(OutgoingRecord(topic, b"k", b"soon"))
    producer.close(10)
    assert len(read(open_consumer(topic), 1)) == 1


def test_several_threads_may_send(topic, producer, open_consumer):
    threads = [Thread(target=producer.send, args=(messages(topic, 50, bytes([65 + n])), LIMIT)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read(open_consumer(topic), 150)) == 150


def test_ensure_topics_is_idempotent(broker):
    broker.ensure_topics(TOPICS)
    broker.ensure_topics(TOPICS)
    assert {partition.topic for partition in broker.watermarks(topic.name for topic in TOPICS)} == {
        t.name for t in TOPICS
    }


def test_a_cluster_keeps_its_incarnation(broker):
    assert broker.incarnation()
    assert broker.incarnation() == broker.incarnation()


@pytest.mark.parametrize("call", ["incarnation", "watermarks", "ensure_topics"])
@pytest.mark.parametrize("settings_of", ["embedded", "kafka"])
def test_unreachable_broker_is_retryable_and_named(call, settings_of, request):
    settings = request.getfixturevalue(settings_of).model_copy(update={"bootstrap": "127.0.0.1:9", "incarnation": ""})
    arguments = {"incarnation": (), "watermarks": (["cb.job"],), "ensure_topics": (TOPICS,)}[call]
    with pytest.raises(Retryable, match=r"127.0.0.1:9 cannot be reached: .*refused"):
        getattr(KafkaBroker(settings), call)(*arguments)


def test_send_to_an_unreachable_broker_is_retryable(kafka):
    producer = KafkaBroker(kafka.model_copy(update={"bootstrap": "127.0.0.1:9"})).producer()
    with pytest.raises(Retryable, match=r"cannot be reached: .*refused"):
        producer.send([OutgoingRecord("cb.job", b"k", b"v")], 2)
    producer.close(0.1)


def test_outage_is_noticed_and_reading_continues_after_it(own_kafka_server):
    broker = KafkaBroker(own_kafka_server.settings)
    topic = "cb.test-away"
    broker.ensure_topics([Topic(topic, Role.CLIENT)])
    producer, consumer = broker.producer(), broker.consumer({Partition(topic, 0): 0})
    producer.send(messages(topic, 1), LIMIT)
    read(consumer, 1)

    own_kafka_server.stop()
    with pytest.raises(Retryable):
        until(lambda: consumer.poll(10, 0.05), "the consumer to notice")
    with pytest.raises(Retryable):
        producer.send([OutgoingRecord(topic, b"k", b"lost")], 0.5)

    own_kafka_server.start()
    until(lambda: sends(producer, OutgoingRecord(topic, b"k", b"back")), "the broker to be back")
    until(lambda: any(record.value == b"back" for record in patient_poll(consumer)), "the record after the outage")
    consumer.close()
    producer.close()


def sends(producer, record: OutgoingRecord) -> bool:
    try:
        producer.send([record], 5)
    except Retryable:
        return False
    return True


def patient_poll(consumer):
    try:
        return consumer.poll(10, 0.05)
    except Retryable:
        return []


def test_key_determines_the_partition(broker, open_consumer, producer):
    name = f"cb.test-{uuid4().hex[:8]}"
    broker.ensure_topics([Topic(name, Role.CLIENT, partitions=4)])
    keys = [f"runner-{number}".encode() for number in range(20)]
    producer.send([OutgoingRecord(name, key, b"order") for key in keys], 10.0)
    found = {record.key: record.partition.number for record in read(open_consumer(name), len(keys))}
    assert found == {key: partition_for(key, 4) for key in keys}
