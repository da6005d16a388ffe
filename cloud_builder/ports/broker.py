"""The port to a message broker that speaks Kafka's terms: topics, partitions, offsets, at-least-once.

Static assignment with our own offsets: a daemon names the positions it wants and keeps them with its state. Nothing
may depend on consumer groups, transactions, compaction or topic administration: the embedded broker has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol
from zlib import crc32

from cloud_builder.model.topics import Topic


class Partition(NamedTuple):
    topic: str
    number: int


def partition_for(key: bytes, partitions: int) -> int:
    """The partition that records with this key are in: CRC32, which Kafka's C client calls `consistent`."""
    return crc32(key) % partitions


class Record(NamedTuple):
    """One message as the broker has it. `timestamp`: seconds since the epoch, by the broker's or writer's clock."""

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: float = 0.0


class OutgoingRecord(NamedTuple):
    """One message to send. Records of one (topic, key) arrive in the order they were sent.

    `value` None is a tombstone, of a record with a key: compaction forgets what that key said before."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Consumer(Protocol):
    """Reads a fixed set of partitions. Not thread-safe."""

    def poll(self, most: int, timeout: float) -> list[Record]:
        """Up to `most` records; returns as soon as there is one, and empty after `timeout` seconds.

        Raises Retryable while the broker cannot be reached. A position that the broker no longer has (retention)
        goes on at the oldest record it has."""

    def is_at_end(self) -> bool:
        """True when everything that was in the partitions at the last poll has been returned."""

    def close(self) -> None: ...


class PendingSend(Protocol):
    """Records under way. Both methods raise Rejected when the broker will never take one of them, NotAllowed when we
    may not write there, Retryable when it cannot be reached. After that nothing that was posted and has not arrived
    will arrive: send it again, in order."""

    def is_done(self) -> bool:
        """True when the broker has all of them. Does not wait."""

    def wait(self, timeout: float) -> None:
        """Until the broker has all of them; Retryable when it has not within `timeout` seconds."""


class Producer(Protocol):
    """Sends. Thread-safe."""

    def post(self, records: Sequence[OutgoingRecord]) -> PendingSend:
        """Hands them over and returns at once. What is posted later arrives later. Raises Retryable as `send` does."""

    def send(self, records: Sequence[OutgoingRecord], timeout: float) -> None:
        """Returns when the broker has all records; raises Retryable when it has not within `timeout` seconds (some
        may have arrived: send all again)."""

    def send_best_effort(self, record: OutgoingRecord) -> None:
        """Best effort, no waiting, no error: for live logs."""

    def close(self, timeout: float = 5.0) -> None:
        """Flushes what `send_soon` still holds, for at most `timeout` seconds."""


class Broker(Protocol):
    """A connection to a cluster."""

    def incarnation(self) -> str:
        """Names the life of this cluster: offsets kept under another incarnation mean nothing.

        Raises Retryable when the broker cannot be reached."""

    def ensure_topics(self, topics: Iterable[Topic]) -> None:
        """Creates what is missing (idempotent). Raises NotAllowed naming those that are missing and may not be created,
        or may not even be seen."""

    def watermarks(self, topics: Iterable[str]) -> Mapping[Partition, tuple[int, int]]:
        """Every partition of the topics with its oldest offset and the next to be written."""

    def consumer(self, positions: Mapping[Partition, int]) -> Consumer: ...

    def producer(self) -> Producer: ...

    def close(self) -> None: ...
