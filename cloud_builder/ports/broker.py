"""The port to a message broker in Kafka's terms: topics, partitions, offsets, at-least-once delivery.

A daemon assigns partitions to itself and stores their offsets with its state. Nothing may depend on consumer groups,
transactions, compaction or topic administration: the embedded broker has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol
from zlib import crc32

from cloud_builder.model.topics import Topic


class Partition(NamedTuple):
    """One partition of a topic. `number` counts from 0."""

    topic: str
    number: int


def partition_for(key: bytes, partitions: int) -> int:
    """Returns the partition of the records with this key: CRC32, which Kafka's C client calls `consistent`."""
    return crc32(key) % partitions


class Record(NamedTuple):
    """A message as the broker stores it. `timestamp`: seconds since the epoch, by the clock of broker or writer."""

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: float = 0.0


class OutgoingRecord(NamedTuple):
    """A message to send. Records with the same topic and key arrive in the order in which they were sent.

    `value` None makes a record with a key a tombstone: compaction deletes the earlier records of that key."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Consumer(Protocol):
    """A reader of a fixed set of partitions. Not thread-safe."""

    def poll(self, most: int, timeout: float) -> list[Record]:
        """Returns up to `most` records as soon as there is one, and an empty list after `timeout` seconds.

        Raises Retryable while the broker cannot be reached. If retention has deleted the record at a position,
        reading continues at the oldest record that is left."""

    def is_at_end(self) -> bool:
        """Returns True if all records that were in the partitions at the last poll have been returned."""

    def close(self) -> None: ...


class PendingSend(Protocol):
    """Records on their way to the broker. Both methods raise

    - Rejected if the broker will never accept one of the records,
    - NotAllowed if this process may not write to a topic,
    - Retryable if the broker cannot be reached.

    After an error no posted record arrives any more that has not arrived yet. Send these records again, in order."""

    def is_done(self) -> bool:
        """Returns True if the broker has all records. Does not wait."""

    def wait(self, timeout: float) -> None:
        """Waits until the broker has all records; raises Retryable if it has not within `timeout` seconds."""


class Producer(Protocol):
    """A sender of records. Thread-safe."""

    def post(self, records: Sequence[OutgoingRecord]) -> PendingSend:
        """Queues the records and returns at once. Records posted later arrive later. Raises Retryable like `send`."""

    def send(self, records: Sequence[OutgoingRecord], timeout: float) -> None:
        """Returns when the broker has all records. Raises what `PendingSend` does.

        Retryable also if the broker does not have all records within `timeout` seconds. Some may have arrived: send
        all of them again."""

    def send_best_effort(self, record: OutgoingRecord) -> None:
        """Sends without waiting and without errors; the record may be lost. For live logs."""

    def close(self, timeout: float = 5.0) -> None:
        """Flushes the records of `send_best_effort` that are still queued, for at most `timeout` seconds."""


class Broker(Protocol):
    """A connection to a cluster."""

    def incarnation(self) -> str:
        """Returns an identifier of this cluster's incarnation; offsets of another incarnation are meaningless.

        Raises Retryable if the broker cannot be reached."""

    def ensure_topics(self, topics: Iterable[Topic]) -> None:
        """Creates the missing topics; idempotent.

        Raises NotAllowed with the topics that are missing and may not be created, or that may not even be seen."""

    def watermarks(self, topics: Iterable[str]) -> Mapping[Partition, tuple[int, int]]:
        """Returns, for each partition of the topics, its oldest offset and the offset of the next record written."""

    def consumer(self, positions: Mapping[Partition, int]) -> Consumer:
        """Returns a consumer that reads each partition from the given offset. The caller closes it."""

    def producer(self) -> Producer:
        """Returns a producer. The caller closes it."""

    def close(self) -> None: ...
