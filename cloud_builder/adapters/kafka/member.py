"""Members of the share group that all runners are in, and whether a broker has share groups at all (Kafka 4.2)."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from cloud_builder.errors import Rejected
from cloud_builder.model.settings import BrokerSettings
from cloud_builder.model.topics import QUEUE, SHARE_GROUP, SHARE_GROUP_SETTINGS

from .connection import Connection

_TOO_OLD = frozenset({KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE})
_NOT_ALLOWED = frozenset({KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED})
_CHECKED_FOR = 1.0
_LONGEST_BUILD_MS = 86_400_000
_ADMIN_TIMEOUT = 3.0
_LOG = logging.getLogger("cb.kafka")


def check(settings: BrokerSettings) -> None:
    """Rejected when this broker shares out no queues; content when it cannot be reached now."""
    member = open_member(Connection(settings), (QUEUE.member("check").name,), 1)
    until = time.monotonic() + _CHECKED_FOR
    try:
        while (left := until - time.monotonic()) > 0:
            member.poll(left)
    except KafkaException as error:
        refuse(settings, error.args[0])
    finally:
        member.close()


def refuse(settings: BrokerSettings, error: KafkaError) -> None:
    """Rejected when waiting cannot mend it."""
    if error.code() in _TOO_OLD:
        raise Rejected(
            f"dispatch shared-queue: Kafka at {settings.bootstrap} has no share groups",
            code="no-share-groups",
            hint="Use Apache Kafka 4.2 or newer, or say `dispatch: directed`.",
        )
    if error.code() in _NOT_ALLOWED:
        raise Rejected(
            f"dispatch shared-queue: not allowed at {settings.bootstrap}: {error.str()}",
            code="broker-rights",
            hint="Let the runners read cb.queue.* and join the group cb.queue (schemas/acls.sh), and start them anew.",
        )


def open_member(connection: Connection, topics: Sequence[str], size: int) -> Any:
    """A new member of the group. Rejected when the client library is too old."""
    try:
        from confluent_kafka import ShareConsumer
    except ImportError:
        hint = "pip install 'confluent-kafka>=2.16', or say `dispatch: directed`."
        raise Rejected(
            "dispatch shared-queue: the client library is too old", code="no-share-groups", hint=hint
        ) from None
    options = {
        "group.id": SHARE_GROUP,
        "share.acknowledgement.mode": "explicit",
        "max.poll.records": size,
        "max.poll.interval.ms": _LONGEST_BUILD_MS,
        "fetch.wait.max.ms": 500,
    }
    member = ShareConsumer(connection.options(**options))
    member.subscribe(list(topics))
    return member


def leave(member: Any) -> None:
    """What it has not acknowledged goes to others."""
    if member is not None:
        try:
            member.close()
        except Exception as error:
            _LOG.debug("share group not left", exc_info=error)


def set_up_group(connection: Connection) -> None:
    """Where that is not allowed, an operator has done it (schemas/topics.sh)."""
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in SHARE_GROUP_SETTINGS.items()
    ]
    group = ConfigResource(ResourceType.GROUP, SHARE_GROUP, incremental_configs=entries)
    admin = AdminClient(connection.options())
    for future in admin.incremental_alter_configs([group], request_timeout=_ADMIN_TIMEOUT).values():
        try:
            future.result()
        except KafkaException as error:
            _LOG.debug("share group not set up", exc_info=error)
