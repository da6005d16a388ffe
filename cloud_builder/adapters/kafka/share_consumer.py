"""One member of the share group, in a thread of its own, because its `poll` waits.

    idle ──fetch──► fetching ──records received──► delivered ──all acknowledged──► idle

A fetch goes on until records were received, because a fetch at the broker cannot be withdrawn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from enum import Enum, auto
from threading import Condition, Thread
from typing import Any, NamedTuple

from confluent_kafka import KafkaException

from cloud_builder.errors import Rejected
from cloud_builder.model.events import JobOffered
from cloud_builder.model.settings import BrokerSettings
from cloud_builder.model.topics import QUEUE
from cloud_builder.ports.broker import Partition, Record
from cloud_builder.ports.queue import TakenOffer

from .broker import KafkaBroker
from .connection import Connection
from .consumer import record_of
from .share_group import leave, open_member, rejection_for, set_up_group

_POLL_TIMEOUT = 0.5
_RETRY_INTERVAL = 1.0
_LOG = logging.getLogger("cb.kafka")


class _State(Enum):
    IDLE = auto()
    FETCHING = auto()
    DELIVERED = auto()


class DeliveryHandle(NamedTuple):
    """The delivery of one offer: the member that received it, and its message."""

    member: ShareConsumerThread
    message: Any


class ShareConsumerThread:
    """A member of the share group, in a thread.

    `size`: records that it fetches at a time, at most.
    `read`: returns the offer in a record, or None.
    `changed`: guards `received` and the member's state; the queue holds it when it calls a method.
    `received`: the queue's list of received offers, to which the member adds."""

    def __init__(
        self,
        settings: BrokerSettings,
        names: Sequence[str],
        *,
        size: int,
        read: Callable[[Record], JobOffered | None],
        changed: Condition,
        received: list[TakenOffer],
    ) -> None:
        self.size = size
        self.error = ""
        """Why this member cannot receive offers; empty: it can."""
        self._settings, self._names, self._read = settings, names, read
        self._changed, self._received = changed, received
        self._state = _State.IDLE
        self._unacknowledged: list[Any] = []
        self._acknowledged: list[Any] = []
        self._ended = False
        self._thread = Thread(target=self._run, name=f"share-{size}", daemon=True)

    # --- called by the queue, which holds `changed` -----------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        return self._state is _State.IDLE and not self.error and not self._ended

    @property
    def requested(self) -> int:
        """The number of offers that the member may still receive."""
        return self.size if self._state is _State.FETCHING else 0

    def start(self) -> None:
        """Starts the thread, which joins the group. That takes a heartbeat or two, so it is started early."""
        if self._thread.ident is None:
            self._thread.start()

    def fetch(self) -> None:
        """Makes the member fetch up to `size` offers."""
        self._state = _State.FETCHING
        self._changed.notify_all()

    def acknowledge(self, message: object) -> None:
        """Makes the member acknowledge a message, if it still has it."""
        if message in self._unacknowledged:
            self._unacknowledged.remove(message)
            self._acknowledged.append(message)
            self._changed.notify_all()

    def end(self) -> None:
        """Makes the member leave the group."""
        self._ended = True
        self._changed.notify_all()

    def join(self, timeout: float) -> None:
        if self._thread.is_alive():
            self._thread.join(timeout)

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        member: Any = None
        while not self._ended:
            try:
                member = member or self._join_group()
                self._run_once(member)
            except Rejected as error:
                self._give_up(error)
            except Exception as error:  # not only KafkaException: the client raises others, e.g. for an expired lock
                _LOG.debug("share group", exc_info=error)
                leave(member)
                member = None
                self._reset()
        leave(member)

    def _run_once(self, member: Any) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._state is not _State.IDLE)
        if self._state is _State.FETCHING and not self._ended:
            self._poll(member)
        if self._state is _State.DELIVERED:
            self._acknowledge_records(member)

    def _poll(self, member: Any) -> None:
        try:
            messages = list(member.poll(_POLL_TIMEOUT))
        except KafkaException as error:
            raise self._rejection_or(error) from None
        taken, discarded = [], []
        for message in messages:
            if (error_of_message := message.error()) is not None:
                raise self._rejection_or(KafkaException(error_of_message))
            offer = self._read(record_of(Partition(str(message.topic()), int(message.partition() or 0)), message))
            if offer is None:
                member.acknowledge(message)
                discarded.append(message)
            else:
                taken.append(TakenOffer(offer, DeliveryHandle(self, message)))
        if taken:
            with self._changed:
                self._unacknowledged = [message for message in messages if message not in discarded]
                self._state = _State.DELIVERED
                self._received += taken

    def _acknowledge_records(self, member: Any) -> None:
        """Waits for acknowledgements of the flow, and sends them to the broker at once: the next poll may be hours
        away."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._acknowledged)
            acknowledged, self._acknowledged = self._acknowledged, []
        for message in acknowledged:
            member.acknowledge(message)
        if acknowledged:
            member.commit_async()
        with self._changed:
            if not self._unacknowledged and not self._acknowledged:
                self._state = _State.IDLE

    def _join_group(self) -> Any:
        connection = Connection(self._settings)
        topics = [QUEUE.member(name) for name in self._names]
        KafkaBroker(self._settings).ensure_topics(topics)
        set_up_group(connection, self._names)
        return open_member(connection, [topic.name for topic in topics], self.size)

    def _reset(self) -> None:
        """Resets the member after it left the group, which delivers its records to others. A fetch is repeated."""
        with self._changed:
            self._unacknowledged, self._acknowledged = [], []
            if self._state is _State.DELIVERED:
                self._state = _State.IDLE
            self._changed.wait_for(lambda: self._ended, _RETRY_INTERVAL)

    def _rejection_or(self, error: KafkaException) -> Exception:
        """Returns Rejected for an error that waiting does not solve, else the error itself."""
        try:
            rejection_for(self._settings, error.args[0])
        except Rejected as rejected:
            return rejected
        return error

    def _give_up(self, error: Rejected) -> None:
        """Ends the member. The runner goes on with assignments that the scheduler sends directly."""
        _LOG.error("no offers are taken", extra={"reason": str(error)})
        with self._changed:
            self.error = error.message
            self._ended = True
