"""The arguments of a flow's handlers, for tests that call a flow without the mesh loop."""

from __future__ import annotations

from dataclasses import dataclass, field

from cloud_builder.model.events import Payload
from cloud_builder.model.ids import EventId
from cloud_builder.ports.state import Documents


@dataclass(frozen=True)
class ReceivedEvent:
    """An event with its envelope (`ports.mesh.Received`)."""

    payload: Payload
    id: EventId = field(default=EventId(""))
    time: float = 0.0


@dataclass
class RecordingWork:
    """A unit of work (`ports.mesh.UnitOfWork`) that records what a flow emits. The caller opens the transaction.

    emitted   all emitted events in order, the live ones among them
    live      those that were emitted outside of the transaction
    """

    documents: Documents
    now: float = 1000.0
    caught_up: bool = True
    broker_seen: float = 0.0
    emitted: list[Payload] = field(default_factory=list)
    live: list[Payload] = field(default_factory=list)

    def emit(self, payload: Payload) -> None:
        self.emitted.append(payload)

    def emit_live(self, payload: Payload) -> None:
        self.emitted.append(payload)
        self.live.append(payload)
