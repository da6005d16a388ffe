"""Creates topics as the topic table describes them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cloud_builder.errors import NotAllowed, Retryable
from cloud_builder.model.topics import QUEUE, Topic

from . import acl_errors
from .connection import Connection

_REPLICAS = 3
_TIMEOUT = 10.0
_NOT_ALLOWED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.POLICY_VIOLATION,
    }
)


def create(admin: AdminClient, connection: Connection, topics: Sequence[Topic], brokers: int) -> None:
    """Creates topics that do not exist, and waits until they are visible.

    Raises NotAllowed with the missing topics or ACL, Retryable for other errors and after _TIMEOUT seconds."""
    missing = [new_topic(topic, min(_REPLICAS, brokers)) for topic in topics]
    refused: dict[str, KafkaError] = {}
    for name, future in admin.create_topics(missing, operation_timeout=_TIMEOUT, request_timeout=_TIMEOUT).items():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                refused[name] = error.args[0]
    if refused:
        raise _explain(refused, admin, connection)
    _await(admin, connection, {topic.name for topic in topics})


def new_topic(topic: Topic, replicas: int) -> NewTopic:
    """Returns a topic with its settings; with three brokers it survives the loss of one."""
    settings = {
        "cleanup.policy": _cleanup(topic),
        "retention.ms": str(int(topic.retention * 1000)) if topic.retention else "-1",
        "retention.bytes": str(topic.retention_bytes or -1),
        "max.message.bytes": str(topic.max_message_bytes),
        "min.insync.replicas": "2" if replicas >= _REPLICAS else "1",
    }
    return NewTopic(topic.name, num_partitions=topic.partitions, replication_factor=replicas, config=settings)


def _cleanup(topic: Topic) -> str:
    if not topic.compacted:
        return "delete"
    return "compact,delete" if topic.retention else "compact"


def _explain(refused: dict[str, KafkaError], admin: AdminClient, connection: Connection) -> NotAllowed | Retryable:
    error = next(iter(refused.values()))
    if error.code() not in _NOT_ALLOWED:
        return connection.unreachable(error)
    settings = connection.settings
    if hidden := [name for name in refused if is_hidden(admin, name)]:
        return acl_errors.missing_acl(settings, acl_errors.DESCRIBE, acl_errors.TOPIC, hidden)
    queues = sorted(name.removeprefix(QUEUE.prefix) for name in refused if QUEUE.has(name))
    script = f"QUEUES='{' '.join(queues)}' schemas/topics.sh" if queues else "schemas/topics.sh"
    return NotAllowed(
        f"topics {', '.join(sorted(refused))} are missing, and {acl_errors.principal(settings)} may not create them",
        code="topics-missing",
        hint=f"Have an operator run: BOOTSTRAP={settings.bootstrap} {script}",
    )


def is_hidden(admin: AdminClient, name: str) -> bool:
    """Returns True if the topic may not be seen.

    A list of all topics leaves such a topic out, as if it did not exist; a query by name returns an error."""
    error = admin.list_topics(name, timeout=_TIMEOUT).topics[name].error
    return error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def _await(admin: AdminClient, connection: Connection, names: set[str]) -> None:
    until = time.monotonic() + _TIMEOUT
    while missing := names - set(admin.list_topics(timeout=_TIMEOUT).topics):
        if time.monotonic() > until:
            raise Retryable(f"topics created and not visible yet: {', '.join(sorted(missing))}", code="broker")
        time.sleep(0.05)
