"""Proves that reading all topics again changes nothing: a daemon's flow gets each handled record once more.

Input: a copy of the daemon's state, and its flow. Output: numbers. Emitted events stay in the copy's outbox, where they
are counted. Must not: send anything, or change the mesh.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Any, cast

from cloud_builder.errors import Bug
from cloud_builder.model.events import JobAssigned, JobOffered, StateChanged
from cloud_builder.model.role import Role
from cloud_builder.ports.broker import Broker, OutgoingRecord, Partition, PendingSend
from cloud_builder.ports.mesh import Flow, Received, UnitOfWork
from cloud_builder.ports.state import Document, Documents, Put, StateStore

from . import changelog
from .outbox_relay import OutboxRelay
from .processor import BatchProcessor
from .reader import FROM_THE_END, Delivery, Reader, topics_of

CLOCK_DELAY = 120.0
"""Seconds by which the clock of a replay is behind. What a daemon does each minute by itself it has done by then."""
_STARTS = frozenset({JobAssigned.type, JobOffered.type})


@dataclass
class ReplayReport:
    """The result of one daemon's replay.

    `read`: records that were read.
    `again`: by type, events that the daemon handled again because their ids were not among the seen ones.
    `written`: by type, events that it would have sent. Changelog records count only for documents that differ in the
    end: a rebuilt state has no seen ids, and writes the same documents again."""

    daemon: str
    read: int = 0
    again: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)

    @property
    def started(self) -> int:
        """Number of jobs that would have been started."""
        return sum(number for kind, number in self.written.items() if kind in _STARTS)


class RecordingFlow:
    """A wrapper of a flow that counts the events which the flow gets.

    `flow` None: a daemon whose flow would touch more than its state. Each event that it gets then counts as written,
    because only an event that is skipped by its id is certain to do nothing."""

    instance = ""

    def __init__(self, role: Role, flow: Flow | None, result: ReplayReport) -> None:
        self.role = role
        self._flow = flow
        self._result = result

    def restore(self, state: Documents) -> None:
        if self._flow is not None:
            self._flow.restore(state)

    def republish(self, work: UnitOfWork) -> None: ...

    def handle(self, event: Received, work: UnitOfWork) -> None:
        kind = event.payload.type
        self._result.again[kind] += 1
        if self._flow is None:
            self._result.written[f"results of {kind}"] += 1
        else:
            self._flow.handle(event, work)

    def tick(self, work: UnitOfWork) -> None:
        if self._flow is not None:
            self._flow.tick(work)

    def max_wait(self) -> float:
        return 0.5

    def stop(self, work: UnitOfWork) -> None: ...


def replay(name: str, role: Role, flow: Flow | None, state: StateStore, broker: Broker, *, now: float) -> ReplayReport:
    """Replays a daemon's records. Changes `state`, which must be a copy. Retryable while the broker is unreachable."""
    result = ReplayReport(name)
    incarnation = broker.incarnation()
    handled = dict(state.positions(incarnation))
    with state.transaction():
        for number, _ in state.outbox(1_000_000):
            state.outbox_confirm(number)
    recorder, tracker = RecordingFlow(role, flow, result), WriteTracker(state)
    recorder.restore(state)
    processor = _processor(recorder, cast("StateStore", tracker), incarnation, now)
    from_the_end = FROM_THE_END.get(role, frozenset())
    marks = broker.watermarks(topic.name for topic in topics_of(role) if topic.name not in from_the_end)
    start = {partition: oldest for partition, (oldest, _) in marks.items() if oldest < handled.get(partition, 0)}
    for batch in _batches(broker, role, incarnation, start, handled):
        result.read += len(batch)
        processor.process(batch, lambda: False, Event())
        _count(state, result)
    processor.process([], lambda: True, Event())
    _count(state, result)
    if (changed := tracker.changed()) and changelog.has_changelog(role):
        result.written[StateChanged.type] = changed
    return result


def _processor(flow: RecordingFlow, state: StateStore, incarnation: str, now: float) -> BatchProcessor:
    processor = BatchProcessor(
        flow,
        state,
        OutboxRelay(state, _NullProducer()),
        incarnation=incarnation,
        clock=lambda: now - CLOCK_DELAY,
        live=lambda record: None,
        send=lambda: None,
    )
    processor.broker_seen = now
    return processor


def _batches(
    broker: Broker, role: Role, incarnation: str, start: Mapping[Partition, int], handled: Mapping[Partition, int]
) -> Iterator[list[Delivery]]:
    """Yields the records that were handled, and none that came later."""
    if not start:
        return
    reader = Reader(broker, role, "", incarnation, start)
    positions = dict(start)
    try:
        while any(at < handled[partition] for partition, at in positions.items()) and not reader.is_at_end():
            batch = reader.poll(lambda: 0.5, Event())
            positions |= {delivery.record.partition: delivery.record.offset + 1 for delivery in batch}
            yield [delivery for delivery in batch if delivery.record.offset < handled[delivery.record.partition]]
    finally:
        with suppress(Exception):
            reader.close()


def _count(state: StateStore, result: ReplayReport) -> None:
    with state.transaction():
        for number, records in state.outbox(1_000_000):
            result.written.update(kind for kind in map(_kind, records) if kind != StateChanged.type)
            state.outbox_confirm(number)


def _kind(record: OutgoingRecord) -> str:
    return dict(record.headers).get("ce_type", b"?").decode()


class WriteTracker:
    """A state store that keeps the old value of each document that is written."""

    def __init__(self, state: StateStore) -> None:
        self._state = state
        self._before: dict[tuple[str, str], Document | None] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._state, name)

    def put_all(self, documents: Iterable[Put]) -> None:
        puts = list(documents)
        for put in puts:
            self._note(put.collection, put.key)
        self._state.put_all(puts)

    def delete(self, collection: str, key: str) -> None:
        self._note(collection, key)
        self._state.delete(collection, key)

    def changed(self) -> int:
        """Returns how many documents differ from their old value."""
        return sum(self._state.get(*entry) != before for entry, before in self._before.items())

    def _note(self, collection: str, key: str) -> None:
        if (collection, key) not in self._before:
            self._before[collection, key] = self._state.get(collection, key)


class _NullProducer:
    """A producer that sends nothing. The relay of a replay is never flushed."""

    def post(self, records: Sequence[OutgoingRecord]) -> PendingSend:
        raise Bug("a replay sends nothing")

    def send(self, records: Sequence[OutgoingRecord], timeout: float) -> None:
        raise Bug("a replay sends nothing")

    def send_best_effort(self, record: OutgoingRecord) -> None: ...

    def close(self, timeout: float = 5.0) -> None: ...
