"""One transaction as a flow sees it (ports.mesh.UnitOfWork): the time is fixed, writes and events are collected.

On a topic whose events are states (model.topics) only the newest event of a key counts, so only that one is sent: a
job that changed its status four times in one batch is one record.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from cloud_builder.model.events import Payload
from cloud_builder.model.topics import ROUTES
from cloud_builder.ports.broker import OutgoingRecord
from cloud_builder.ports.state import StateStore

from .codec import Envelope, encode
from .trace import child, trace_id
from .write_buffer import BufferedDocuments

_STATE_EVENTS = {route.event.type: (route.topic.name, route.key) for route in ROUTES if route.topic.carries_states}


class Transaction:
    """A transaction. `close` returns the records for the outbox. `live`: sends a record at once, best effort."""

    def __init__(
        self,
        state: StateStore,
        *,
        source: str,
        now: float,
        broker_seen: float,
        live: Callable[[OutgoingRecord], None],
    ) -> None:
        self.documents = BufferedDocuments(state)
        self.now = now
        self.broker_seen = broker_seen
        self.caught_up = False
        self._emitted: dict[object, tuple[Payload, str | None]] = {}
        self._source = source
        self._live = live
        self._trace: str | None = None
        self._id_prefix, self._encoded = _id_prefix(), 0

    def caused_by(self, event: Envelope | None) -> None:
        """Makes later emitted events follow from this event: they get its trace id. None: they follow from none."""
        self._trace = None if event is None else trace_id(event.traceparent, event.id)

    def emit(self, payload: Payload) -> None:
        identity: object = object()
        if (state := _STATE_EVENTS.get(payload.type)) is not None:
            topic, key = state
            identity = (topic, getattr(payload, key))
            self._emitted.pop(identity, None)
        self._emitted[identity] = (payload, self._trace)

    def emit_live(self, payload: Payload) -> None:
        self._live(self._encode(payload, self._trace))

    def close(self) -> list[OutgoingRecord]:
        """Writes the documents, and returns the records of the emitted events, in order."""
        self.documents.flush()
        return [self._encode(payload, trace) for payload, trace in self._emitted.values()]

    def encode_internal(self, payload: Payload) -> OutgoingRecord:
        """Returns the record of an event that the mesh adds to those of the flow."""
        return self._encode(payload, None)

    def _encode(self, payload: Payload, trace: str | None) -> OutgoingRecord:
        self._encoded += 1
        id = f"{self._id_prefix}{self._encoded:06x}"
        traceparent = None if trace is None else child(trace, id[-17:].replace("-", ""))
        return encode(payload, source=self._source, id=id, time=self.now, traceparent=traceparent)


def _id_prefix() -> str:
    """Returns all but the last six digits of a transaction's event ids, which are UUIDs of version 7 (RFC 9562).

    Readers find their seen ids quickly, because ids of the same time are next to each other in the index."""
    bits = random.SystemRandom().getrandbits(50)
    digits = f"{time.time_ns() // 1_000_000:012x}7{bits >> 38:03x}{1 << 39 | bits & (1 << 38) - 1:010x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
