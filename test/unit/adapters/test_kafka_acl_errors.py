"""Errors for missing ACLs name the resource, the principal and the command that allows the operation."""

from __future__ import annotations

import shlex

import pytest
from confluent_kafka import KafkaError, KafkaException

from cloud_builder.adapters.kafka import acl_errors
from cloud_builder.adapters.kafka.connection import Connection
from cloud_builder.adapters.kafka.consumer import KafkaConsumer
from cloud_builder.adapters.kafka.fenced import FencedProducer
from cloud_builder.adapters.kafka.producer import KafkaProducer
from cloud_builder.errors import CloudBuilderError, ExitCode, Fenced, NotAllowed
from cloud_builder.model.settings import BrokerSettings
from cloud_builder.ports.broker import OutgoingRecord, Partition

PLAIN = BrokerSettings(bootstrap="k:9092")
SCRAM = BrokerSettings(
    bootstrap="k:9093", options={"security.protocol": "SASL_SSL", "sasl.username": "cb-runner", "sasl.password": "x"}
)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "User:ANONYMOUS"),
        ({"sasl.username": "cb-info"}, "User:cb-info"),
        ({"sasl.kerberos.principal": "cb-info/host@REALM"}, "User:cb-info"),
        ({"security.protocol": "sasl_ssl", "sasl.mechanism": "OAUTHBEARER"}, "User:<who it logs in as>"),
        ({"security.protocol": "SSL", "ssl.certificate.location": "/c.pem"}, "User:<subject of /c.pem>"),
    ],
)
def test_principal_is_read_from_the_settings(options, expected):
    assert acl_errors.principal(BrokerSettings(options=options)) == expected


@pytest.mark.parametrize(
    ("asked", "message", "words"),
    [
        (
            (acl_errors.READ, acl_errors.TOPIC, ["cb.job"]),
            "topic cb.job: User:cb-runner may not read it",
            ["--topic", "cb.job"],
        ),
        (
            (acl_errors.WRITE, acl_errors.TOPIC, ["cb.log", "cb.attempt"]),
            "topics cb.attempt, cb.log: User:cb-runner may not write to them",
            ["--topic", "cb.attempt", "--topic", "cb.log"],
        ),
        (
            (acl_errors.READ, acl_errors.TOPIC, ["cb.queue.x86_64"]),
            "topic cb.queue.x86_64: User:cb-runner may not read it",
            ["--resource-pattern-type", "prefixed", "--topic", "cb.queue."],
        ),
        (
            (acl_errors.READ, acl_errors.GROUP, ["cb.queue"]),
            "group cb.queue: User:cb-runner may not use it",
            ["--group", "cb.queue"],
        ),
        (
            (acl_errors.WRITE, acl_errors.TRANSACTIONAL_ID, ["cb-scheduler"]),
            "transactional id cb-scheduler: User:cb-runner may not use it",
            ["--transactional-id", "cb-scheduler"],
        ),
    ],
)
def test_missing_acl_names_resource_principal_and_command(asked, message, words):
    error = acl_errors.missing_acl(SCRAM, *asked)
    assert (error.message, error.exit_code, error.code) == (message, ExitCode.REJECTED, "broker-rights")
    command = shlex.split(error.hint.splitlines()[0])
    assert command[:3] == ["kafka-acls.sh", "--bootstrap-server", "k:9093"]
    assert command[3:8] == ["--command-config", "admin.properties", "--add", "--allow-principal", "User:cb-runner"]
    assert command[8:12] == ["--operation", asked[0], "--operation", "Describe"]
    assert command[12:] == words


def test_principal_is_quoted_for_the_shell():
    settings = BrokerSettings(options={"sasl.username": "cb runner"})
    assert (
        shlex.split(acl_errors.grant_command(settings, acl_errors.READ, acl_errors.TOPIC, ["cb.job"]))[5]
        == "User:cb runner"
    )
    assert "--command-config" not in acl_errors.grant_command(PLAIN, acl_errors.READ, acl_errors.TOPIC, ["cb.job"])


class FailedMessage:
    """A message of librdkafka that is an error."""

    def __init__(self, code: int, topic: str | None) -> None:
        self._error, self._topic = KafkaError(code), topic

    def error(self) -> KafkaError:
        return self._error

    def topic(self) -> str | None:
        return self._topic

    def partition(self) -> int:
        return 0


class FailingClient:
    """A client of librdkafka whose calls all fail with `error`, on `topic`."""

    def __init__(self, error: KafkaError, topic: str | None = None) -> None:
        self.error, self.topic = error, topic

    def poll(self, timeout):
        return FailedMessage(self.error.code(), self.topic)

    def produce(self, topic, value, key, headers, on_delivery):
        on_delivery(self.error, FailedMessage(self.error.code(), topic))

    def begin_transaction(self):
        raise KafkaException(self.error)

    def assign(self, partitions): ...
    def init_transactions(self, timeout): ...
    def abort_transaction(self, timeout): ...


def test_reader_needs_no_acl_on_a_group():
    def read(code: int, topic: str | None):
        client = FailingClient(KafkaError(code), topic)
        return KafkaConsumer(Connection(PLAIN), {Partition("cb.job", 0): 0}, lambda options: client).poll(1, 0.0)

    assert read(KafkaError.GROUP_AUTHORIZATION_FAILED, None) == []
    with pytest.raises(NotAllowed, match=r"cb\.job: User:ANONYMOUS may not read it"):
        read(KafkaError.TOPIC_AUTHORIZATION_FAILED, "cb.job")


def test_missing_acl_of_live_logs_is_logged_once(caplog):
    client = FailingClient(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
    producer = KafkaProducer(Connection(PLAIN), lambda options: client)
    for _ in range(2):
        producer.send_best_effort(OutgoingRecord("cb.log", None, b"a line"))
    [record] = caplog.records
    assert "cb.log" in record.reason and "kafka-acls.sh" in record.hint


@pytest.mark.parametrize(
    ("error", "kind", "hint"),
    [
        # The library calls the first fatal, and names no topic with the second.
        (KafkaError(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "no", True), NotAllowed, "--transactional-id n"),
        (KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), NotAllowed, "--topic cb.job --topic cb.state"),
        (KafkaError(KafkaError._FENCED, "no", True), Fenced, ""),
    ],
)
def test_missing_acl_of_a_transaction_is_not_fenced(error, kind, hint):
    producer = FencedProducer(Connection(PLAIN), "n", lambda options: FailingClient(error))
    with pytest.raises(CloudBuilderError) as raised:
        producer.send([OutgoingRecord(topic, None, b"") for topic in ("cb.job", "cb.state")], 1.0)
    assert type(raised.value) is kind
    assert hint in raised.value.hint
