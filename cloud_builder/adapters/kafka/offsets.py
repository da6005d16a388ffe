"""Asking a cluster for the oldest and the next offset of partitions, all in one go."""

from __future__ import annotations

import time
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from cloud_builder.ports.broker import Partition

_SETTLE = 5.0
_AGAIN = 0.05
_UNSETTLED = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)


def watermarks(admin: AdminClient, places: Sequence[Partition], timeout: float) -> dict[Partition, tuple[int, int]]:
    """KafkaException when the cluster does not answer."""
    oldest = _offsets(admin, places, OffsetSpec.earliest(), timeout)  # type: ignore[no-untyped-call]
    end = _offsets(admin, places, OffsetSpec.latest(), timeout)  # type: ignore[no-untyped-call]
    return {place: (oldest[place], end[place]) for place in places}


def _offsets(
    admin: AdminClient, places: Sequence[Partition], which: OffsetSpec, timeout: float
) -> dict[Partition, int]:
    """A new topic has no leader for a moment: asked again until it has."""
    if not places:
        return {}
    asked = {TopicPartition(place.topic, place.number): which for place in places}
    until = time.monotonic() + _SETTLE
    while True:
        try:
            answers = admin.list_offsets(asked, request_timeout=timeout)
            return {Partition(at.topic, at.partition): found.result().offset for at, found in answers.items()}
        except KafkaException as error:
            if error.args[0].code() not in _UNSETTLED or time.monotonic() > until:
                raise
            time.sleep(_AGAIN)
