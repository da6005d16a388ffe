"""Whether the broker answers, and its topics are as the topic table wants them."""

from __future__ import annotations

from collections.abc import Iterator

from .facts import BrokerFacts, Facts, TopicFacts
from .finding import Finding, Level, ok


def the_broker(facts: Facts) -> Iterator[Finding]:
    broker = facts.broker
    if broker is None:
        return
    if broker.refusal is not None:
        yield Finding("broker", Level.ERROR, broker.refusal.message, broker.refusal.hint)
        return
    kind = "the embedded broker" if broker.embedded else "Kafka"
    yield ok("broker", f"{kind} at {broker.bootstrap} answers")
    found = [finding for wanted, topic in broker.topics for finding in _topic(broker, wanted, topic)]
    yield from found
    if broker.topics and not found:
        yield ok("topics", "all as the topic table wants them")
    if broker.unshared is not None:
        yield Finding("dispatch", Level.ERROR, broker.unshared.message, broker.unshared.hint)


def _topic(broker: BrokerFacts, wanted: TopicFacts, found: TopicFacts) -> Iterator[Finding]:
    if not found.exists:
        mend = f"none needed where the daemons may create topics; else BOOTSTRAP={broker.bootstrap} schemas/topics.sh"
        yield Finding("topics", Level.WARNING, f"{wanted.name} does not exist yet", mend)
        return
    if found.partitions < wanted.partitions:
        alter = f"kafka-topics.sh --bootstrap-server {broker.bootstrap} --alter --topic {wanted.name}"
        message = f"{wanted.name} has {found.partitions} partitions, not {wanted.partitions}"
        yield Finding("topics", Level.WARNING, message, f"{alter} --partitions {wanted.partitions}")
    for name, value in sorted(wanted.settings.items()):
        actual = found.settings.get(name)
        if actual is not None and (level := _worse(name, value, actual)) is not None:
            alter = f"kafka-configs.sh --bootstrap-server {broker.bootstrap} --alter --topic {wanted.name}"
            message = f"{wanted.name} has {name}={actual}, not {value}"
            yield Finding("topics", level, message, f"{alter} --add-config '{name}=[{value}]'")


def _worse(setting: str, wanted: str, actual: str) -> Level | None:
    """What a setting that is not as wanted means; None: nothing."""
    if setting == "cleanup.policy":
        same = set(wanted.split(",")) == set(actual.split(","))
        return None if same else Level.ERROR
    if setting == "max.message.bytes":
        return Level.ERROR if int(actual) < int(wanted) else None
    if setting == "retention.ms":
        kept = float("inf") if int(actual) < 0 else int(actual)
        return Level.WARNING if kept < (float("inf") if int(wanted) < 0 else int(wanted)) else None
    return None
