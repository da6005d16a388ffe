"""Checks that the broker answers, and that its topics are as the topic table requires."""

from __future__ import annotations

from collections.abc import Iterator

from .facts import BrokerFacts, Facts, TopicFacts
from .finding import Finding, Level, ok


def check_broker(facts: Facts) -> Iterator[Finding]:
    broker = facts.broker
    if broker is None:
        return
    if broker.error is not None:
        yield Finding("broker", Level.ERROR, broker.error.message, broker.error.hint)
        return
    kind = "the embedded broker" if broker.embedded else "Kafka"
    yield ok("broker", f"{kind} at {broker.bootstrap} answers")
    found = [finding for expected, actual in broker.topics for finding in _check_topic(broker, expected, actual)]
    yield from found
    if broker.topics and not found:
        yield ok("topics", "all topics have the settings of the topic table")
    if broker.share_group_error is not None:
        yield Finding("dispatch", Level.ERROR, broker.share_group_error.message, broker.share_group_error.hint)


def _check_topic(broker: BrokerFacts, expected: TopicFacts, actual: TopicFacts) -> Iterator[Finding]:
    if not actual.exists:
        fix = f"none needed if the daemons may create topics; else BOOTSTRAP={broker.bootstrap} schemas/topics.sh"
        yield Finding("topics", Level.WARNING, f"topic {expected.name} does not exist yet", fix)
        return
    if actual.partitions < expected.partitions:
        alter = f"kafka-topics.sh --bootstrap-server {broker.bootstrap} --alter --topic {expected.name}"
        message = f"topic {expected.name} has {actual.partitions} partitions, not {expected.partitions}"
        yield Finding("topics", Level.WARNING, message, f"{alter} --partitions {expected.partitions}")
    for name, value in sorted(expected.settings.items()):
        current = actual.settings.get(name)
        if current is not None and (level := _level(name, value, current)) is not None:
            alter = f"kafka-configs.sh --bootstrap-server {broker.bootstrap} --alter --topic {expected.name}"
            message = f"topic {expected.name} has {name}={current}, not {value}"
            yield Finding("topics", level, message, f"{alter} --add-config '{name}=[{value}]'")


def _level(setting: str, expected: str, actual: str) -> Level | None:
    """Returns how bad a topic's setting is; None: as expected, or better."""
    if setting == "cleanup.policy":
        same = set(expected.split(",")) == set(actual.split(","))
        return None if same else Level.ERROR
    if setting == "max.message.bytes":
        return Level.ERROR if int(actual) < int(expected) else None
    if setting == "retention.ms":
        return Level.WARNING if _retention(actual) < _retention(expected) else None
    return None


def _retention(milliseconds: str) -> float:
    """Returns a retention as a number; a negative value stands for no limit."""
    return float("inf") if int(milliseconds) < 0 else int(milliseconds)
