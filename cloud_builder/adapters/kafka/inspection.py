"""Inspects a cluster for `cb-ctl doctor`: reachability, topics with their settings, clock.

Must not: change anything on the cluster.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from cloud_builder.errors import CloudBuilderError
from cloud_builder.model.settings import BrokerSettings
from cloud_builder.model.topics import RUNNERS, TOPICS, Topic
from cloud_builder.planning.doctor import BrokerFacts, ProbeError, TopicFacts

from .broker import KafkaBroker
from .connection import Connection
from .topics import is_hidden, new_topic

_TIMEOUT = 3.0
_CHECKED = ("cleanup.policy", "retention.ms", "max.message.bytes")


def inspect(settings: BrokerSettings) -> BrokerFacts:
    """Returns the facts about a broker. Never raises: an error is part of them.

    The embedded broker has no topic settings to inspect."""
    broker = KafkaBroker(settings)
    try:
        broker.incarnation()
        topics = () if settings.embedded else _topics(settings)
        return BrokerFacts(settings.bootstrap, settings.embedded, None, topics, _ahead(broker))
    except CloudBuilderError as error:
        return BrokerFacts(settings.bootstrap, settings.embedded, ProbeError(error.message, error.hint))
    finally:
        broker.close()


def _topics(settings: BrokerSettings) -> tuple[tuple[TopicFacts, TopicFacts], ...]:
    """Returns the expected and the found facts of each topic, except of those that may not be seen."""
    connection = Connection(settings)
    admin = AdminClient(connection.options())
    try:
        existing = admin.list_topics(timeout=_TIMEOUT).topics
        hidden = {topic for topic in TOPICS if topic.name not in existing and is_hidden(admin, topic.name)}
    except KafkaException as error:
        raise connection.unreachable(error.args[0]) from None
    configured = _configured(admin, [topic for topic in TOPICS if topic.name in existing])
    return tuple(
        (
            _expected(topic),
            TopicFacts(
                topic.name,
                len(existing[topic.name].partitions) if topic.name in existing else 0,
                configured.get(topic.name, {}),
                exists=topic.name in existing,
            ),
        )
        for topic in TOPICS
        if topic not in hidden
    )


def _expected(topic: Topic) -> TopicFacts:
    config: dict[str, str] = dict(new_topic(topic, 1).config or {})
    return TopicFacts(topic.name, topic.partitions, {name: config[name] for name in _CHECKED})


def _configured(admin: AdminClient, topics: Sequence[Topic]) -> dict[str, dict[str, str]]:
    """Returns the settings by topic. A topic whose settings may not be read is left out."""
    if not topics:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in topics]
    found: dict[str, dict[str, str]] = {}
    for resource, future in admin.describe_configs(resources, request_timeout=_TIMEOUT).items():
        try:
            entries = future.result()
        except KafkaException:
            continue
        found[resource.name] = {name: str(entries[name].value) for name in _CHECKED if name in entries}
    return found


def _ahead(broker: KafkaBroker) -> float | None:
    """Returns the seconds by which the newest heartbeat of a runner is in the future; None: it is not."""
    marks = broker.watermarks([RUNNERS.name])
    last = {partition: end - 1 for partition, (oldest, end) in marks.items() if end > oldest}
    if not last:
        return None
    consumer = broker.consumer(last)
    try:
        records = consumer.poll(len(last), _TIMEOUT)
    finally:
        consumer.close()
    ahead = max((record.timestamp for record in records), default=0.0) - time.time()
    return ahead if ahead > 0 else None
