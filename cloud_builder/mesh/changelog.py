"""The changelog of a daemon's documents on a compacted topic (cb.state): written with each transaction, and read by a
new host and by a standby.

    packet of one transaction on cb.state                     replica (new host, standby)
    <collection>/<key>        a document that it wrote   ──►  put
    <collection>/<key>        tombstone: it was deleted  ──►  delete
    positions/<incarnation>   how far input was read     ──►  last record: the packet is complete

A packet has the state and the positions that were committed together. Reading on from there repeats nothing and loses
nothing. Each document that a flow writes is recorded; flows take no part in it.

Records after the last positions belong to an incomplete packet, which exists only without Kafka's transactions. They
are not applied: reading on from the positions creates them again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from cloud_builder.errors import Rejected
from cloud_builder.model.events import StateChanged
from cloud_builder.model.frozen import CachedJson
from cloud_builder.model.role import Role
from cloud_builder.model.topics import RUNNERS, STATE
from cloud_builder.ports.broker import Broker, OutgoingRecord, Partition, Record
from cloud_builder.ports.state import Put, StateStore

from .reader import Delivery
from .transaction import Transaction

LEADER = "leader"
"""Collection and key of the leader's heartbeat, where several processes may lead."""
LEADER_KEY = f"{LEADER}/{LEADER}".encode()
MULTIPLE_LEADERS = "multiple-leaders"
POSITIONS = "positions"
"""Collection of the input positions: one document for each incarnation of the broker."""
_BATCH = 5000
_BODY = b',"body":'
_LOG = logging.getLogger("cb.mesh")


def has_changelog(role: Role) -> bool:
    """Returns True if daemons of this role write a changelog."""
    return STATE.writer is role


class Changelog:
    """A writer of the changelog. `positions`: where reading begins. `repairs`: changes to write first."""

    def __init__(
        self, incarnation: str, positions: Mapping[Partition, int], repairs: Sequence[StateChanged] = ()
    ) -> None:
        self._incarnation = incarnation
        self._repairs = repairs
        self._positions = self._next = dict(positions)

    def records_for(
        self, work: Transaction, batch: Sequence[Delivery], emitted: Sequence[OutgoingRecord]
    ) -> list[OutgoingRecord]:
        """Returns the changelog's records of a transaction. Called inside it, after the flow.

        Empty for a batch that changed nothing: reading it again changes nothing either."""
        read = {delivery.record.partition: delivery.record.offset + 1 for delivery in batch}
        self._next = {**self._positions, **read} if read else self._positions
        written = work.documents.written
        if not written and not emitted and not self._repairs:
            return []
        changes = [*self._repairs, *(_change(*entry, put) for entry, put in written.items())]
        offsets = {f"{partition.topic}/{partition.number}": offset for partition, offset in self._next.items()}
        changes.append(StateChanged.of(f"{POSITIONS}/{self._incarnation}", offsets))
        return [work.encode_internal(change) for change in changes]

    def committed(self) -> None:
        """Notes that the transaction of the last `records_for` was committed."""
        self._positions, self._repairs = self._next, ()


def _change(collection: str, key: str, put: Put | None) -> StateChanged:
    if put is None:
        return StateChanged.of(f"{collection}/{key}", None)
    return StateChanged.of(f"{collection}/{key}", put.body, put.parent, put.rank)


class ChangelogReplica:
    """A state that copies a changelog.

    `resumes`: the replica saves how far it has read, and continues there after a restart.
    `read`: number of records applied so far."""

    def __init__(self, state: StateStore, incarnation: str, *, resumes: bool) -> None:
        self._state = state
        self._incarnation = incarnation
        self._resumes = resumes
        self._incomplete: list[Record] = []
        """Records whose packet is not complete yet."""
        self.read = 0

    def apply(self, records: Sequence[Record]) -> None:
        """Applies complete packets in one transaction: documents, and how far the changelog was read.

        Records of an incomplete packet wait for its end."""
        complete = max((count for count, record in enumerate(records, 1) if _ends_packet(record)), default=0)
        if complete:
            self._write([*self._incomplete, *records[:complete]])
            self._incomplete = []
        self._incomplete += records[complete:]

    def _write(self, records: Sequence[Record]) -> None:
        changes = _changes(records)
        with self._state.transaction():
            for key, put in changes.items():
                if put is None:
                    self._state.delete(*_collection_and_key(key))
            self._state.put_all([put for put in changes.values() if put is not None])
            if self._resumes:
                ends = {record.partition: record.offset + 1 for record in records}
                self._state.save_positions(self._incarnation, ends)
        self.read += len(records)

    def promote(self, broker: Broker) -> list[StateChanged]:
        """Makes the replica the leader's state: input is read on from the positions in the changelog.

        Without positions in the changelog, input is read from the beginning. Heartbeats of runners are read from their
        end, because old ones do not tell which runners are alive now. Returns the changes to write to the changelog
        first: the present documents under the keys of an incomplete packet, for later readers of that packet."""
        saved = self._state.get(POSITIONS, self._incarnation) or {}
        positions = {_partition(name): int(offset) for name, offset in saved.items()}
        if saved:
            positions |= {partition: end for partition, (_, end) in broker.watermarks([RUNNERS.name]).items()}
        else:  # a changelog from before positions were written: all of its records count
            self._write(self._incomplete)
            self._incomplete = []
        with self._state.transaction():
            self._state.delete(POSITIONS, self._incarnation)
            self._state.save_positions(self._incarnation, positions)
        entries = [_collection_and_key(key) for key in _changes(self._incomplete)]
        return [_change(*entry, self._state.get_with_index(*entry)) for entry in entries]


def _ends_packet(record: Record) -> bool:
    return (record.key or b"").startswith(f"{POSITIONS}/".encode())


def _changes(records: Sequence[Record]) -> dict[bytes, Put | None]:
    """Returns the newest change of each document. Records that are no change (written by others) are skipped."""
    changes: dict[bytes, Put | None] = {}
    for record in {record.key: record for record in records if record.key}.values():
        try:
            changes[record.key or b""] = change_of(record)
        except (ValueError, KeyError, TypeError) as error:
            extra = {"topic": STATE.name, "offset": record.offset, "reason": str(error)}
            _LOG.error("record of the changelog is no change, skipped", extra=extra)
    return changes


def change_of(record: Record) -> Put | None:
    """Returns the document in a record of the changelog; None: it was deleted. The JSON of its body is not parsed."""
    collection, key = _collection_and_key(record.key or b"")
    head, found, body = (record.value or b"").partition(_BODY)
    if not found or body == b"null}":
        return None
    index = json.loads(head + b"}")
    text: CachedJson[Any] = CachedJson.ready(body[:-1].decode())
    return Put(collection, key, text, index.get("parent", ""), index.get("rank", 0.0))


def rebuild(broker: Broker, state: StateStore, incarnation: str, beat: Callable[[], None]) -> list[StateChanged] | None:
    """Fills an empty state from the changelog (a new host): documents, and the positions to read on from.

    Returns None if the changelog is empty or its beginning is gone, else the changes to write to the changelog first.
    `beat` is called during the work. After an interruption the rebuild starts again from the beginning. Raises Rejected
    if several processes may lead."""
    marks = broker.watermarks([STATE.name])
    if all(end == oldest for oldest, end in marks.values()):
        return None
    if any(oldest for oldest, _ in marks.values()):
        _LOG.warning("the beginning of the changelog is gone, starting anew", extra={"topic": STATE.name})
        return None
    replica = ChangelogReplica(state, incarnation, resumes=False)
    for records in _read_to_end(broker, {partition: oldest for partition, (oldest, _) in marks.items()}):
        if any(record.key == LEADER_KEY for record in records):  # before the state gets that leader's epoch
            raise Rejected(
                "several schedulers share this mesh under a leader, and this one is not set up for that",
                code=MULTIPLE_LEADERS,
                hint="Set scheduler.ha: true. A scheduler that is alone then leads, too, when the others are silent.",
            )
        replica.apply(records)
        beat()
    repairs = replica.promote(broker)
    extra = {"topic": STATE.name, "records": replica.read, "incomplete": len(repairs)}
    _LOG.info("rebuilt from the changelog", extra=extra)
    return repairs


def _read_to_end(broker: Broker, start: Mapping[Partition, int]) -> Iterator[list[Record]]:
    consumer = broker.consumer(start)
    try:
        while not consumer.is_at_end():
            yield consumer.poll(_BATCH, 0.5)
    finally:
        consumer.close()


def _collection_and_key(key: bytes) -> tuple[str, str]:
    collection, _, name = key.decode().partition("/")
    return collection, name


def _partition(name: str) -> Partition:
    topic, _, number = name.rpartition("/")
    return Partition(topic, int(number))
