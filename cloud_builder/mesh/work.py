"""One transaction as a flow sees it (ports.mesh.Work): the clock stands still, what it emits is collected."""

from __future__ import annotations

import os
from base64 import b32encode
from collections.abc import Callable
from uuid import uuid4

from cloud_builder.model.events import Payload
from cloud_builder.ports.broker import Outgoing
from cloud_builder.ports.state import Documents

from .codec import Envelope, encode
from .trace import child, trace_id


class Transaction:
    """`emitted` goes to the outbox when the transaction is committed. `live`: sends at once, best effort."""

    def __init__(
        self,
        state: Documents,
        *,
        source: str,
        now: float,
        broker_seen: float,
        live: Callable[[Outgoing], None],
    ) -> None:
        self.state = state
        self.now = now
        self.broker_seen = broker_seen
        self.caught_up = False
        self.emitted: list[Outgoing] = []
        self._source = source
        self._live = live
        self._trace: str | None = None

    def new_id(self) -> str:
        return b32encode(os.urandom(5)).decode().lower()

    def caused_by(self, event: Envelope | None) -> None:
        """What is emitted from now on follows from this event."""
        self._trace = None if event is None else trace_id(event.traceparent, event.id)

    def emit(self, payload: Payload) -> None:
        self.emitted.append(self._encode(payload))

    def emit_live(self, payload: Payload) -> None:
        self._live(self._encode(payload))

    def _encode(self, payload: Payload) -> Outgoing:
        traceparent = None if self._trace is None else child(self._trace)
        return encode(payload, source=self._source, id=str(uuid4()), time=self.now, traceparent=traceparent)
