"""The share group of all runners: its members, its set-up, and a check for share groups (Kafka 4.2 or newer)."""

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

from . import acl_errors
from .connection import Connection

_TOO_OLD = frozenset({KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE})
_CHECK_TIMEOUT = 1.0
_LONGEST_BUILD_MS = 86_400_000
_ADMIN_TIMEOUT = 3.0
_LOG = logging.getLogger("cb.kafka")


def check_share_groups(settings: BrokerSettings) -> None:
    """Raises Rejected if this broker has no share groups. Raises nothing if it cannot be reached now."""
    member = open_member(Connection(settings), (QUEUE.member("check").name,), 1)
    until = time.monotonic() + _CHECK_TIMEOUT
    try:
        while (left := until - time.monotonic()) > 0:
            member.poll(left)
    except KafkaException as error:
        rejection_for(settings, error.args[0])
    finally:
        member.close()


def rejection_for(settings: BrokerSettings, error: KafkaError) -> None:
    """Raises Rejected for an error that waiting does not solve; returns for all others."""
    if error.code() in _TOO_OLD:
        raise Rejected(
            f"dispatch shared-queue: Kafka at {settings.bootstrap} has no share groups",
            code="no-share-groups",
            hint="Use Apache Kafka 4.2 or newer, or set `dispatch: directed`.",
        )
    if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
        raise acl_errors.missing_acl(settings, acl_errors.READ, acl_errors.GROUP, [SHARE_GROUP])
    if error.code() in acl_errors.REFUSED:
        raise acl_errors.missing_acl(settings, acl_errors.READ, acl_errors.TOPIC, [QUEUE.name])


def open_member(connection: Connection, topics: Sequence[str], size: int) -> Any:
    """Returns a new member of the group. Raises Rejected if the client library is too old."""
    try:
        from confluent_kafka import ShareConsumer
    except ImportError:
        hint = "pip install 'confluent-kafka>=2.16', or set `dispatch: directed`."
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
    """Makes a member leave the group: records that it has not acknowledged go to other members."""
    if member is not None:
        try:
            member.close()
        except Exception as error:
            _LOG.debug("share group not left", exc_info=error)


def set_up_group(connection: Connection, queues: Sequence[str]) -> None:
    """Sets the group's options, if they are not set.

    Where that is not allowed, an operator sets them (schemas/topics.sh). If nobody has, a warning is logged: offers
    from before the first runner joined are then not delivered until they are sent again."""
    admin = AdminClient(connection.options())
    try:
        if not _is_set_up(admin):
            _set_up(admin)
    except KafkaException as error:
        settings = connection.settings
        if error.args[0].code() in acl_errors.REFUSED:
            script = f"BOOTSTRAP={settings.bootstrap} QUEUES='{' '.join(queues)}' schemas/topics.sh"
            _LOG.warning(
                "share group not set up",
                extra={
                    "group": SHARE_GROUP,
                    "may_not": acl_errors.principal(settings),
                    "hint": f"Have an operator run: {script}",
                },
            )
        else:
            _LOG.debug("share group not set up", exc_info=error)


def _is_set_up(admin: Any) -> bool:
    group = ConfigResource(ResourceType.GROUP, SHARE_GROUP)
    [future] = admin.describe_configs([group], request_timeout=_ADMIN_TIMEOUT).values()
    found = future.result()
    return all(name in found and found[name].value == value for name, value in SHARE_GROUP_SETTINGS.items())


def _set_up(admin: Any) -> None:
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in SHARE_GROUP_SETTINGS.items()
    ]
    group = ConfigResource(ResourceType.GROUP, SHARE_GROUP, incremental_configs=entries)
    for future in admin.incremental_alter_configs([group], request_timeout=_ADMIN_TIMEOUT).values():
        future.result()
