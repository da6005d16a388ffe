"""One transaction as a flow sees it (ports.mesh.Work): the clock stands still, what it writes and emits is collected.

On a topic that tells states (model.topics) only the last word on a key counts, so only that is sent: a job that went
through four states in one batch is one record of the changelog.
"""

from __future__ import annotations

import os
import random
import time
from base64 import b32encode
from collections.abc import Callable

from cloud_builder.model.events import Payload
from cloud_builder.model.topics import ROUTES
from cloud_builder.ports.broker import OutgoingRecord
from cloud_builder.ports.state import StateStore

from .codec import Envelope, encode
from .trace import child, trace_id
from .write_buffer import BufferedDocuments

_LAST_WORD_COUNTS = {route.event.type: (route.topic.name, route.key) for route in ROUTES if route.topic.tells_states}


class Transaction:
    """`close` gives what goes to the outbox. `live`: sends at once, best effort."""

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
        self._ids, self._said = _ids(), 0

    def new_id(self) -> str:
        return b32encode(os.urandom(5)).decode().lower()

    def caused_by(self, event: Envelope | None) -> None:
        """What is emitted from now on follows from this event."""
        self._trace = None if event is None else trace_id(event.traceparent, event.id)

    def emit(self, payload: Payload) -> None:
        place: object = object()
        if (compacted := _LAST_WORD_COUNTS.get(payload.type)) is not None:
            topic, key = compacted
            place = (topic, getattr(payload, key))
            self._emitted.pop(place, None)
        self._emitted[place] = (payload, self._trace)

    def emit_live(self, payload: Payload) -> None:
        self._live(self._encode(payload, self._trace))

    def close(self) -> list[OutgoingRecord]:
        """Writes the documents, and returns what was emitted, in order."""
        self.documents.flush()
        return [self._encode(payload, trace) for payload, trace in self._emitted.values()]

    def encode_internal(self, payload: Payload) -> OutgoingRecord:
        """What the mesh adds to what the flow said."""
        return self._encode(payload, None)

    def _encode(self, payload: Payload, trace: str | None) -> OutgoingRecord:
        self._said += 1
        id = f"{self._ids}{self._said:06x}"
        traceparent = None if trace is None else child(trace, id[-17:].replace("-", ""))
        return encode(payload, source=self._source, id=id, time=self.now, traceparent=traceparent)


def _ids() -> str:
    """All but the last six digits of a transaction's event ids: UUIDs of version 7 (RFC 9562), of which the readers'
    memory is quickly searched, because ids of one time lie together."""
    chance = random.SystemRandom().getrandbits(50)
    digits = f"{time.time_ns() // 1_000_000:012x}7{chance >> 38:03x}{1 << 39 | chance & (1 << 38) - 1:010x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
