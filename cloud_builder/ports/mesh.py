"""What a daemon is to the mesh loop, and what the loop offers to it.

The loop (cloud_builder/mesh) reads events, hands each to `Flow.handle` inside a transaction, and sends what the flow
emitted after the commit. A flow never sees Kafka.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from cloud_builder.model.events import Payload
from cloud_builder.model.ids import EventId
from cloud_builder.model.outcome import Role

from .state import Documents


class Received(Protocol):
    """An event with its envelope."""

    @property
    def id(self) -> EventId: ...
    @property
    def time(self) -> float: ...
    @property
    def payload(self) -> Payload: ...


class UnitOfWork(Protocol):
    """One transaction: all of it happens, or nothing."""

    @property
    def now(self) -> float:
        """Seconds since the epoch, the same for the whole transaction."""

    @property
    def documents(self) -> Documents: ...

    @property
    def caught_up(self) -> bool:
        """True when everything the broker had has been handled: only then may silence be held against anyone."""

    @property
    def broker_seen(self) -> float:
        """When the broker was last known to be there, in seconds since the epoch; 0: never yet."""

    def new_id(self) -> str:
        """A fresh random id: 8 characters, base32, lower case."""

    def emit(self, payload: Payload) -> None:
        """Sent after the commit, at least once, in order of emission per key."""

    def emit_live(self, payload: Payload) -> None:
        """Sent at once, best effort, not part of the transaction: live logs only."""


class Flow(Protocol):
    """One daemon's behaviour. Called from one thread. Holds no state that `restore` cannot bring back."""

    @property
    def role(self) -> Role: ...

    @property
    def instance(self) -> str:
        """Names this process among others of its role: the runner id, or empty."""

    def restore(self, state: Documents) -> None:
        """Called at start and after a transaction was rolled back: read from `state` what you keep in memory."""

    def republish(self, work: UnitOfWork) -> None:
        """Called once when the broker has lost its memory (a new incarnation): announce again what others need."""

    def handle(self, event: Received, work: UnitOfWork) -> None:
        """One event. May come again after a crash: must be idempotent. Retryable: the loop tries again after its
        delay, in order; any other exception: the message goes to the dead letters."""

    def tick(self, work: UnitOfWork) -> None:
        """After each batch of events, and at least every `patience()` seconds."""

    def max_wait(self) -> float:
        """Seconds the loop may sleep before the next tick, when nothing comes in."""

    def stop(self, work: UnitOfWork) -> None:
        """The daemon ends: hand over. Must return within 3 s; what is emitted is still sent."""


@runtime_checkable
class HandlesMalformed(Protocol):
    """A flow that answers people also when what they sent cannot be read (it goes to the dead letters all the same)."""

    def reject(self, value: bytes | None, reason: str, work: UnitOfWork) -> bool:
        """`value`: the message as it came. True when whoever sent it can learn of the rejection."""
