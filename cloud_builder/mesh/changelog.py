"""The changelog of a daemon's documents on a compacted topic (cb.state): written with each transaction, read by a new
host and by a standby.

Out goes, in the packet of the transaction, each document that it wrote, a tombstone for each that it deleted, and how
far the input was read: the same state and positions that were committed, so that reading on from there does nothing
twice and forgets nothing. In come records, out come documents and positions. No flow takes part: what it writes is
told, whatever it is.

A record lies under `<collection>/<key>`. The positions come last in a packet and close it: what comes after the last of
them was cut off (only without Kafka's transactions), and is not taken. Reading on from those positions does it again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from cloud_builder.errors import Rejected
from cloud_builder.model.events import StateChanged
from cloud_builder.model.frozen import CachedJson
from cloud_builder.model.outcome import Role
from cloud_builder.model.topics import RUNNERS, STATE
from cloud_builder.ports.broker import Broker, OutgoingRecord, Partition, Record
from cloud_builder.ports.state import Put, StateStore

from .reader import Delivery
from .transaction import Transaction

LEADER = "leader"
"""Collection and key of what the leader says, where several take turns."""
LEADER_KEY = f"{LEADER}/{LEADER}".encode()
MULTIPLE_LEADERS = "led-by-several"
POSITIONS = "positions"
"""Collection of the one entity an incarnation of the broker that says how far the input was read."""
_BATCH = 5000
_BODY = b',"body":'
_LOG = logging.getLogger("cb.mesh")


def has_changelog(role: Role) -> bool:
    return STATE.writer is role


class Changelog:
    """What the changelog is told of each transaction. `positions`: where reading begins. `mends`: told first."""

    def __init__(
        self, incarnation: str, positions: Mapping[Partition, int], repairs: Sequence[StateChanged] = ()
    ) -> None:
        self._incarnation = incarnation
        self._mends = repairs
        self._positions = self._next = dict(positions)

    def records_for(
        self, work: Transaction, batch: Sequence[Delivery], said: Sequence[OutgoingRecord]
    ) -> list[OutgoingRecord]:
        """Inside the transaction, after the flow. A batch that changed nothing is not told: reading it again does not
        either."""
        read = {delivered.record.partition: delivered.record.offset + 1 for delivered in batch}
        self._next = {**self._positions, **read} if read else self._positions
        written = work.documents.written
        if not written and not said and not self._mends:
            return []
        changes = [*self._mends, *(_change(*place, put) for place, put in written.items())]
        where = {f"{place.topic}/{place.number}": offset for place, offset in self._next.items()}
        changes.append(StateChanged.of(f"{POSITIONS}/{self._incarnation}", where))
        return [work.encode_internal(change) for change in changes]

    def committed(self) -> None:
        self._positions, self._mends = self._next, ()


def _change(collection: str, key: str, put: Put | None) -> StateChanged:
    if put is None:
        return StateChanged.of(f"{collection}/{key}", None)
    return StateChanged.of(f"{collection}/{key}", put.body, put.parent, put.rank)


class ChangelogReplica:
    """A state that follows a changelog. `read`: records so far. `keeps_place`: it goes on where it stopped."""

    def __init__(self, state: StateStore, incarnation: str, *, resumes: bool) -> None:
        self._state = state
        self._incarnation = incarnation
        self._keeps_place = resumes
        self._open: list[Record] = []
        self.read = 0

    def apply(self, records: Sequence[Record]) -> None:
        """Whole packets in one transaction: the documents, and how far the changelog was read. The rest waits."""
        closed = max((at for at, record in enumerate(records, 1) if _closes(record)), default=0)
        if closed:
            self._take([*self._open, *records[:closed]])
            self._open = []
        self._open += records[closed:]

    def _take(self, records: Sequence[Record]) -> None:
        changes = _changes(records)
        with self._state.transaction():
            for key, put in changes.items():
                if put is None:
                    self._state.delete(*_place(key))
            self._state.put_all([put for put in changes.values() if put is not None])
            if self._keeps_place:
                ends = {record.partition: record.offset + 1 for record in records}
                self._state.save_positions(self._incarnation, ends)
        self.read += len(records)

    def promote(self, broker: Broker) -> list[StateChanged]:
        """Reading goes on where the writer of the changelog had come to; where it never said so, from the beginning.

        Heartbeats of the past say nothing about who lives now: those are read from their end. What is to be told next:
        how the documents stand that a packet without an end has changed, for those who read it after us."""
        told = self._state.get(POSITIONS, self._incarnation) or {}
        positions = {_partition(name): int(offset) for name, offset in told.items()}
        if told:
            positions |= {place: end for place, (_, end) in broker.watermarks([RUNNERS.name]).items()}
        else:  # of before positions were told: all of it counts
            self._take(self._open)
            self._open = []
        with self._state.transaction():
            self._state.delete(POSITIONS, self._incarnation)
            self._state.save_positions(self._incarnation, positions)
        places = [_place(key) for key in _changes(self._open)]
        return [_change(*place, self._state.get_with_index(*place)) for place in places]


def _closes(record: Record) -> bool:
    return (record.key or b"").startswith(f"{POSITIONS}/".encode())


def _changes(records: Sequence[Record]) -> dict[bytes, Put | None]:
    """The newest change of each entity. What is no change at all (somebody else wrote here) is passed over."""
    changes: dict[bytes, Put | None] = {}
    for record in {record.key: record for record in records if record.key}.values():
        try:
            changes[record.key or b""] = change_of(record)
        except (ValueError, KeyError, TypeError) as error:
            _LOG.error("not a change", extra={"topic": STATE.name, "offset": record.offset, "reason": str(error)})
    return changes


def change_of(record: Record) -> Put | None:
    """The document that a record of the changelog tells; None: it is gone. The JSON of its body is taken as it is."""
    collection, key = _place(record.key or b"")
    head, found, body = (record.value or b"").partition(_BODY)
    if not found or body == b"null}":
        return None
    place = json.loads(head + b"}")
    text: CachedJson[Any] = CachedJson.ready(body[:-1].decode())
    parent, rank = place.get("parent"), place.get("rank")
    if parent is None and collection in _BEFORE_PLACES:
        parent, rank = _BEFORE_PLACES[collection](json.loads(text.json))
    return Put(collection, key, text, parent or "", rank or 0.0)


_BEFORE_PLACES: Mapping[str, Callable[[Mapping[str, Any]], tuple[str, float]]] = {
    "requests": lambda body: ("open", body["sequence"]),
    "jobs": lambda body: (body["request_id"], body["number"]),
}
"""Where the entities of records that tell neither parent nor rank lie."""


def rebuild(broker: Broker, state: StateStore, incarnation: str, beat: Callable[[], None]) -> list[StateChanged] | None:
    """A new host: the documents of the changelog into an empty state, and the positions to go on from. None when there
    was nothing; else what is to be told first. `beat` is called all the while. Begun again from the start when it was
    cut off. Rejected where others lead by turns."""
    marks = broker.watermarks([STATE.name])
    if all(end == oldest for oldest, end in marks.values()):
        return None
    if any(oldest for oldest, _ in marks.values()):
        _LOG.warning("the beginning of the changelog is gone, starting anew", extra={"topic": STATE.name})
        return None
    copy = ChangelogReplica(state, incarnation, resumes=False)
    for records in _to_the_end(broker, {place: oldest for place, (oldest, _) in marks.items()}):
        if any(record.key == LEADER_KEY for record in records):  # before it looks as if this state were of that reign
            raise Rejected(
                "several schedulers share this mesh, of which one leads, and this one would not know of them",
                code=MULTIPLE_LEADERS,
                hint="Set scheduler.ha: true; one alone leads, too, when the others are silent.",
            )
        copy.apply(records)
        beat()
    mends = copy.promote(broker)
    _LOG.info("rebuilt from the changelog", extra={"topic": STATE.name, "records": copy.read, "cut_off": len(mends)})
    return mends


def _to_the_end(broker: Broker, start: Mapping[Partition, int]) -> Iterator[list[Record]]:
    consumer = broker.consumer(start)
    try:
        while not consumer.is_at_end():
            yield consumer.poll(_BATCH, 0.5)
    finally:
        consumer.close()


def _place(key: bytes) -> tuple[str, str]:
    collection, _, name = key.decode().partition("/")
    return collection, name


def _partition(name: str) -> Partition:
    topic, _, number = name.rpartition("/")
    return Partition(topic, int(number))
