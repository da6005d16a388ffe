"""One member of the share group, in a thread of its own, because its `poll` waits.

    idle ──ask──► asked ──records came──► holding ──all acknowledged──► idle

A lane that was asked goes on until something has come: what is under way from the broker cannot be called back.
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

_POLL = 0.5
_AGAIN = 1.0
_LOG = logging.getLogger("cb.kafka")


class _State(Enum):
    IDLE = auto()
    ASKED = auto()
    HOLDING = auto()


class DeliveryHandle(NamedTuple):
    """Where an offer came from."""

    lane: ShareConsumerThread
    message: Any


class ShareConsumerThread:
    """`size`: records it takes at a time, at most. `changed` guards `come` and all that is said to a lane."""

    def __init__(
        self,
        settings: BrokerSettings,
        names: Sequence[str],
        *,
        size: int,
        read: Callable[[Record], JobOffered | None],
        changed: Condition,
        come: list[TakenOffer],
    ) -> None:
        self.size = size
        self.trouble = ""
        self._settings, self._names, self._read = settings, names, read
        self._changed, self._come = changed, come
        self._state = _State.IDLE
        self._held: list[Any] = []
        self._done: list[Any] = []
        self._ended = False
        self._thread = Thread(target=self._run, name=f"share-{size}", daemon=True)

    # --- said by the queue, which holds `changed` -------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        return self._state is _State.IDLE and not self.trouble and not self._ended

    @property
    def asked(self) -> int:
        """Offers that it may still bring."""
        return self.size if self._state is _State.ASKED else 0

    def start(self) -> None:
        """Joining the group takes a while (a heartbeat or two): it should be over before the first offer is wanted."""
        if self._thread.ident is None:
            self._thread.start()

    def ask(self) -> None:
        self._state = _State.ASKED
        self._changed.notify_all()

    def acknowledge(self, message: object) -> None:
        if message in self._held:
            self._held.remove(message)
            self._done.append(message)
            self._changed.notify_all()

    def end(self) -> None:
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
            except Exception as error:  # not all of the client's are KafkaExceptions: a lock that is over is none
                _LOG.debug("share group", exc_info=error)
                leave(member)
                member = None
                self._start_afresh()
        leave(member)

    def _run_once(self, member: Any) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._state is not _State.IDLE)
        if self._state is _State.ASKED and not self._ended:
            self._poll(member)
        if self._state is _State.HOLDING:
            self._keep_records(member)

    def _poll(self, member: Any) -> None:
        try:
            messages = list(member.poll(_POLL))
        except KafkaException as error:
            raise self._meaning(error) from None
        taken, useless = [], []
        for message in messages:
            if (trouble := message.error()) is not None:
                raise self._meaning(KafkaException(trouble))
            offer = self._read(record_of(Partition(str(message.topic()), int(message.partition() or 0)), message))
            if offer is None:
                member.acknowledge(message)
                useless.append(message)
            else:
                taken.append(TakenOffer(offer, DeliveryHandle(self, message)))
        if taken:
            with self._changed:
                self._held = [message for message in messages if message not in useless]
                self._state = _State.HOLDING
                self._come += taken

    def _keep_records(self, member: Any) -> None:
        """Until the flow has acknowledged all; the broker is told at once, because the next poll may be hours away."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._done)
            done, self._done = self._done, []
        for message in done:
            member.acknowledge(message)
        if done:
            member.commit_async()
        with self._changed:
            if not self._held and not self._done:
                self._state = _State.IDLE

    def _join_group(self) -> Any:
        connection = Connection(self._settings)
        topics = [QUEUE.member(name) for name in self._names]
        KafkaBroker(self._settings).ensure_topics(topics)
        set_up_group(connection, self._names)
        return open_member(connection, [topic.name for topic in topics], self.size)

    def _start_afresh(self) -> None:
        """The group has given what we held to others; what we were asked for we are still asked for."""
        with self._changed:
            self._held, self._done = [], []
            if self._state is _State.HOLDING:
                self._state = _State.IDLE
            self._changed.wait_for(lambda: self._ended, _AGAIN)

    def _meaning(self, error: KafkaException) -> Exception:
        try:
            rejection_for(self._settings, error.args[0])
        except Rejected as rejected:
            return rejected
        return error

    def _give_up(self, error: Rejected) -> None:
        """The runner goes on with direct orders."""
        _LOG.error("no offers are taken", extra={"reason": str(error)})
        with self._changed:
            self.trouble = error.message
            self._ended = True
