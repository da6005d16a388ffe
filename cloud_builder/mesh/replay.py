"""Proof that reading all topics again does nothing: every record that a daemon has handled is handed to it once more.

In comes a copy of the daemon's state and its flow, out come numbers. Whatever the flow says stays in the copy's outbox,
where it is counted; nothing is sent, and the mesh does not notice.
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
from cloud_builder.model.outcome import Role
from cloud_builder.ports.broker import Broker, OutgoingRecord, Partition, PendingSend
from cloud_builder.ports.mesh import Flow, Received, UnitOfWork
from cloud_builder.ports.state import Document, Documents, Put, StateStore

from . import changelog
from .outbox_relay import OutboxRelay
from .processor import BatchProcessor
from .reader import FROM_THE_END, Delivery, Reader, topics_of

EARLIER = 120.0
"""Seconds that the clock of a replay is behind: what a daemon does once a minute by itself it has done by then."""
_STARTS = frozenset({JobAssigned.type, JobOffered.type})


@dataclass
class ReplayReport:
    """What came of one daemon. `again`: events that it did not know by their id, and how many of each type it handled
    once more; `written`: what it would have written, by type. Of documents only those that would stand differently in
    the end: a state that was rebuilt knows no ids, and writes down once more what stands there."""

    daemon: str
    read: int = 0
    again: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)

    @property
    def started(self) -> int:
        """Jobs that would have been started."""
        return sum(number for kind, number in self.written.items() if kind in _STARTS)


class RecordingFlow:
    """A flow, and what is handed to it. Where there is none (it would touch more than its state), whatever is handed
    over counts as written: only what it knows by its id is certain to do nothing."""

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
            self._result.written[f"whatever {kind} leads to"] += 1
        else:
            self._flow.handle(event, work)

    def tick(self, work: UnitOfWork) -> None:
        if self._flow is not None:
            self._flow.tick(work)

    def max_wait(self) -> float:
        return 0.5

    def stop(self, work: UnitOfWork) -> None: ...


def replay(name: str, role: Role, flow: Flow | None, state: StateStore, broker: Broker, *, now: float) -> ReplayReport:
    """`state` is a copy that may be spoilt. Retryable while the broker cannot be reached."""
    result = ReplayReport(name)
    incarnation = broker.incarnation()
    handled = dict(state.positions(incarnation))
    with state.transaction():
        for number, _ in state.outbox(1_000_000):
            state.outbox_confirm(number)
    watched, watching = RecordingFlow(role, flow, result), WriteTracker(state)
    watched.restore(state)
    said = _handling(watched, cast("StateStore", watching), incarnation, now)
    passing = FROM_THE_END.get(role, frozenset())
    marks = broker.watermarks(topic.name for topic in topics_of(role) if topic.name not in passing)
    start = {place: oldest for place, (oldest, _) in marks.items() if oldest < handled.get(place, 0)}
    for batch in _batches(broker, role, incarnation, start, handled):
        result.read += len(batch)
        said.process(batch, lambda: False, Event())
        _count(state, result)
    said.process([], lambda: True, Event())
    _count(state, result)
    if (changed := watching.changed()) and changelog.has_changelog(role):
        result.written[StateChanged.type] = changed
    return result


def _handling(flow: RecordingFlow, state: StateStore, incarnation: str, now: float) -> BatchProcessor:
    handling = BatchProcessor(
        flow,
        state,
        OutboxRelay(state, _NullProducer()),
        incarnation=incarnation,
        clock=lambda: now - EARLIER,
        live=lambda record: None,
        send=lambda: None,
    )
    handling.broker_seen = now
    return handling


def _batches(
    broker: Broker, role: Role, incarnation: str, start: Mapping[Partition, int], handled: Mapping[Partition, int]
) -> Iterator[list[Delivery]]:
    """What was handled, and nothing that came later."""
    if not start:
        return
    reader = Reader(broker, role, "", incarnation, start)
    missing = dict(start)
    try:
        while any(at < handled[place] for place, at in missing.items()) and not reader.is_at_end():
            batch = reader.poll(lambda: 0.5, Event())
            missing |= {one.record.partition: one.record.offset + 1 for one in batch}
            yield [one for one in batch if one.record.offset < handled[one.record.partition]]
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
    """A state, and what its documents were before they were written."""

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
        return sum(self._state.get(*place) != before for place, before in self._before.items())

    def _note(self, collection: str, key: str) -> None:
        if (collection, key) not in self._before:
            self._before[collection, key] = self._state.get(collection, key)


class _NullProducer:
    """A producer that is never asked: nobody pumps the relay of a replay."""

    def post(self, records: Sequence[OutgoingRecord]) -> PendingSend:
        raise Bug("a replay sends nothing")

    def send(self, records: Sequence[OutgoingRecord], timeout: float) -> None:
        raise Bug("a replay sends nothing")

    def send_best_effort(self, record: OutgoingRecord) -> None: ...

    def close(self, timeout: float = 5.0) -> None: ...
