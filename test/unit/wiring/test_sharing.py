"""Shared queues are rejected, with the fix, where the broker cannot share them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from cloud_builder.adapters.kafka.share_group import rejection_for
from cloud_builder.errors import Rejected
from cloud_builder.mesh.codec import encode
from cloud_builder.model.dispatch import Dispatch
from cloud_builder.model.events import JobOffered
from cloud_builder.model.settings import BrokerSettings, Settings
from cloud_builder.ports.broker import Partition, Record
from cloud_builder.wiring import assemble
from cloud_builder.wiring.broker import offers, read_offer, require_share_groups

EMBEDDED = BrokerSettings(embedded=True)
SHARED = Dispatch.SHARED_QUEUE


def settings(**more) -> Settings:
    return Settings(home=Path("/nowhere"), cache=Path("/nowhere"), **more)


def test_directed_dispatch_needs_no_queue():
    assert offers(settings(), "x86_64") is None
    require_share_groups(Dispatch.DIRECTED, EMBEDDED)


@pytest.mark.parametrize("broker", [None, EMBEDDED])
def test_embedded_broker_is_rejected_for_shared_queues(broker):
    with pytest.raises(Rejected, match="no share groups") as rejected:
        require_share_groups(SHARED, broker)
    assert "4.2" in rejected.value.hint and "directed" in rejected.value.hint


@pytest.mark.parametrize("daemon", [assemble.scheduler, assemble.runner])
def test_daemon_with_shared_queues_needs_a_real_kafka(daemon, tmp_path):
    shared = settings(broker=EMBEDDED, dispatch=SHARED).model_copy(update={"home": tmp_path, "cache": tmp_path})
    with ExitStack() as stack, pytest.raises(Rejected, match="no share groups"):
        daemon(shared, stack)


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        (KafkaError.UNSUPPORTED_VERSION, "Kafka at k:9092 has no share groups", "4.2"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, "group cb.queue: User:ANONYMOUS may not use it", "--operation Read"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "may not read", "--resource-pattern-type prefixed --topic cb.queue."),
    ],
)
def test_permanent_kafka_error_is_rejected_with_the_fix(code, message, hint):
    with pytest.raises(Rejected, match=message) as rejected:
        rejection_for(BrokerSettings(bootstrap="k:9092"), KafkaError(code))
    assert hint in rejected.value.hint


def test_temporary_kafka_error_is_not_rejected():
    rejection_for(BrokerSettings(), KafkaError(KafkaError._TRANSPORT))


def record(topic: str, value: bytes | None, headers=()) -> Record:
    return Record(Partition(topic, 0), 0, b"k", value, headers)


def test_read_offer_returns_none_for_anything_else():
    sent = encode(JobOffered(job_id="q.1", attempt=1, queue="x86_64"), source="s", id="i", time=1.0)
    offer = read_offer(record(sent.topic, sent.value, sent.headers))
    assert offer is not None and offer.job_id == "q.1"
    assert read_offer(record(sent.topic, b"{", sent.headers)) is None
    assert read_offer(record(sent.topic, sent.value)) is None
    assert read_offer(record("cb.job", sent.value, sent.headers)) is None
