"""The port between a daemon's flow and the mesh loop.

The loop (cloud_builder/mesh) reads events, calls `Flow.handle` for each inside a transaction, and sends the emitted
events after the commit. A flow never sees Kafka.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from cloud_builder.model.events import Payload
from cloud_builder.model.ids import EventId
from cloud_builder.model.role import Role

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
    """One transaction: all of its writes and events take effect, or none."""

    @property
    def now(self) -> float:
        """The time in seconds since the epoch, the same for the whole transaction."""

    @property
    def documents(self) -> Documents:
        """The daemon's documents, with the writes of this transaction."""

    @property
    def caught_up(self) -> bool:
        """True if all records that the broker had were handled. Only then may a time-out be decided."""

    @property
    def broker_seen(self) -> float:
        """The time of the last contact with the broker, in seconds since the epoch; 0: none yet."""

    def emit(self, payload: Payload) -> None:
        """Sends the event after the commit, at least once; events with the same key in the order of emission."""

    def emit_live(self, payload: Payload) -> None:
        """Sends the event at once, best effort, outside of the transaction. For live logs only."""


class Flow(Protocol):
    """A daemon's behaviour. Called from one thread. Keeps no state in memory that `restore` cannot rebuild."""

    @property
    def role(self) -> Role: ...

    @property
    def instance(self) -> str:
        """The name of this process among others of its role: the runner id, or empty."""

    def restore(self, state: Documents) -> None:
        """Rebuilds from `state` what the flow keeps in memory. Called at the start and after each rollback."""

    def republish(self, work: UnitOfWork) -> None:
        """Emits again what other daemons need. Called once when the broker has lost its records (a new incarnation)."""

    def handle(self, event: Received, work: UnitOfWork) -> None:
        """Handles one event. Must be idempotent: after a crash the event may be handled again.

        Retryable: the loop tries again after the error's delay, in order. Any other exception: the message becomes
        a dead letter."""

    def tick(self, work: UnitOfWork) -> None:
        """Does the work that time makes due. Called after each batch of events, and at least every `max_wait()` s."""

    def max_wait(self) -> float:
        """Returns the seconds that the loop may sleep until the next tick if no event arrives."""

    def stop(self, work: UnitOfWork) -> None:
        """Hands over before the daemon ends. Must return within 3 s; the emitted events are still sent."""


@runtime_checkable
class HandlesMalformed(Protocol):
    """A flow that answers messages that cannot be decoded. Each also becomes a dead letter."""

    def reject(self, value: bytes | None, reason: str, work: UnitOfWork) -> bool:
        """Rejects a message. `value`: its body as received. Returns True if the sender can learn of the rejection."""
