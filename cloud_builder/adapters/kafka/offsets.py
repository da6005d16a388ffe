"""Queries a cluster for the oldest and the next offset of partitions, all partitions at once."""

from __future__ import annotations

import time
from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from cloud_builder.ports.broker import Partition

_LEADER_TIMEOUT = 5.0
_RETRY_INTERVAL = 0.05
_NO_LEADER_YET = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)


def watermarks(admin: AdminClient, partitions: Sequence[Partition], timeout: float) -> dict[Partition, tuple[int, int]]:
    """Returns (oldest offset, next offset) by partition. Raises KafkaException if the cluster does not answer."""
    oldest = _offsets(admin, partitions, OffsetSpec.earliest(), timeout)  # type: ignore[no-untyped-call]
    end = _offsets(admin, partitions, OffsetSpec.latest(), timeout)  # type: ignore[no-untyped-call]
    return {partition: (oldest[partition], end[partition]) for partition in partitions}


def _offsets(
    admin: AdminClient, partitions: Sequence[Partition], which: OffsetSpec, timeout: float
) -> dict[Partition, int]:
    """Queries offsets. A partition of a new topic has no leader for a moment: the query is repeated until it has."""
    if not partitions:
        return {}
    queries = {TopicPartition(partition.topic, partition.number): which for partition in partitions}
    until = time.monotonic() + _LEADER_TIMEOUT
    while True:
        try:
            answers = admin.list_offsets(queries, request_timeout=timeout)
            return {Partition(at.topic, at.partition): found.result().offset for at, found in answers.items()}
        except KafkaException as error:
            if error.args[0].code() not in _NO_LEADER_YET or time.monotonic() > until:
                raise
            time.sleep(_RETRY_INTERVAL)
