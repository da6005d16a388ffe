"""Events into the flow, in transactions; and what follows when a handler fails.

A batch is one transaction. When anything in it raises, all is rolled back, the flow restored, and the batch is done
again record by record: the culprit waits (Retryable) or goes to the dead letters, its neighbours are not touched.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event

from cloud_builder.errors import CloudBuilderError, Retryable
from cloud_builder.model.topics import BARE_EVENT, DEAD_LETTER
from cloud_builder.ports.broker import OutgoingRecord, Record
from cloud_builder.ports.mesh import Flow, HandlesMalformed
from cloud_builder.ports.state import StateStore

from .changelog import Changelog
from .codec import Envelope
from .deadletter import dead_letter
from .decode_errors import Undecodable
from .outbox_relay import OutboxRelay
from .reader import Delivery
from .transaction import Transaction

EVENT_ID_RETENTION = 14 * 86400.0
"""Seconds: longer than any topic but the compacted ones keeps its records."""
_PRUNE_EVERY = 3600.0
_DEAD_MARKER = "dead "
"""With this begins the mark of a record that went to the dead letters."""
_LONGEST_WAIT = 5.0
_LOG = logging.getLogger("cb.mesh")


class BatchProcessor:
    """`send`: called after each commit of the slow way, so that nothing waits for the rest of the batch.

    `broker_seen` is kept up to date by the loop."""

    def __init__(
        self,
        flow: Flow,
        state: StateStore,
        relay: OutboxRelay,
        *,
        incarnation: str,
        clock: Callable[[], float],
        live: Callable[[OutgoingRecord], None],
        send: Callable[[], None],
        changelog: Changelog | None = None,
    ) -> None:
        self._changelog = changelog
        self._flow = flow
        self._state = state
        self._relay = relay
        self._incarnation = incarnation
        self._clock = clock
        self._live = live
        self._send = send
        self._source = f"{flow.role}/{flow.instance}" if flow.instance else str(flow.role)
        self._complaint = ""
        self._pruned_at = 0.0
        self._seen: set[str] = set()
        self._marked: list[str] = []
        self._graves = state.seen_with_prefix(_DEAD_MARKER)
        """Few, and asked of every record."""
        self.broker_seen = 0.0

    def process(self, batch: Sequence[Delivery], is_at_end: Callable[[], bool], stop: Event) -> None:
        """The whole batch and a tick. Returns early, with the rest to be read again, when stopped while waiting."""
        try:
            with self.transaction(batch) as work:
                for delivered in batch:
                    self._handle(delivered, work)
                work.caught_up = is_at_end()
                self._flow.tick(work)
        except Exception:
            self._flow.restore(self._state)
            self._one_by_one(batch, stop)
        else:
            self._complaint = ""

    @contextmanager
    def transaction(self, batch: Sequence[Delivery] = ()) -> Iterator[Transaction]:
        """What happens inside, the positions after the batch and the outbox: all or nothing."""
        work = Transaction(
            self._state, source=self._source, now=self._clock(), broker_seen=self.broker_seen, live=self._live
        )
        with self._state.transaction():
            self._seen, self._marked = self._seen_of(batch), []
            yield work
            if batch:
                positions = {delivered.record.partition: delivered.record.offset + 1 for delivered in batch}
                self._state.save_positions(self._incarnation, positions)
            self._state.mark_seen(self._marked, work.now)
            said = work.close()
            if self._changelog is not None:
                said += self._changelog.records_for(work, batch, said)
            number = self._state.outbox_add(said) if said else 0
            self._relay.confirm_sent()
            self._prune(work.now)
        self._graves.update(mark for mark in self._marked if mark.startswith(_DEAD_MARKER))
        self._relay.confirmed()
        if self._changelog is not None:
            self._changelog.committed()
        if said:
            self._relay.add(number, said)

    def _handle(self, delivered: Delivery, work: Transaction) -> None:
        event = delivered.content
        if event is None or self._was_handled(delivered, event):
            return
        if isinstance(event, Undecodable):
            self._dead_letter(delivered, event, work)
            self._answer(delivered.record, event, work)
        else:
            self._mark(event.id)
            work.caused_by(event)
            self._flow.handle(event, work)
            work.caused_by(None)

    def _was_handled(self, delivered: Delivery, event: Envelope | Undecodable) -> bool:
        """Handled, or a dead letter, which stays dead when it is read again from here: what it asked for may have
        become possible since, and later events have gone by. Sent again it lies elsewhere, and is tried again."""
        if isinstance(event, Envelope) and event.id in self._seen:
            return True
        return bool(self._graves) and self._dead_marker(delivered.record) in self._graves

    def _mark(self, event_id: str) -> None:
        self._seen.add(event_id)
        self._marked.append(event_id)

    def _seen_of(self, batch: Sequence[Delivery]) -> set[str]:
        ids = [event.content.id for event in batch if isinstance(event.content, Envelope)]
        return self._state.seen_of(ids) if ids else set()

    def _dead_marker(self, record: Record) -> str:
        place = record.partition
        return f"{_DEAD_MARKER}{self._incarnation}/{place.topic}/{place.number}/{record.offset}"

    def _answer(self, record: Record, error: Undecodable, work: Transaction) -> None:
        """Where plain JSON is taken, a person may be waiting."""
        if isinstance(self._flow, HandlesMalformed) and record.partition.topic in BARE_EVENT:
            self._flow.reject(record.value, " ".join(filter(None, (error.message, error.hint))), work)

    # --- the slow way -----------------------------------------------------------------------------------------

    def _one_by_one(self, batch: Sequence[Delivery], stop: Event) -> None:
        for delivered in batch:
            self._until_handled(delivered, stop)
            if stop.is_set():
                return
            self._send()
        self._tick_alone(stop)

    def _until_handled(self, delivered: Delivery, stop: Event) -> None:
        verdict: Exception | None = None
        while not stop.is_set():
            try:
                with self.transaction([delivered]) as work:
                    if verdict is None:
                        self._handle(delivered, work)
                    else:
                        self._dead_letter(delivered, verdict, work)
                return
            except Retryable as error:
                self._flow.restore(self._state)
                self._complain("event has to wait", error, delivered)
                self._wait(error.delay, stop)
            except Exception as error:
                self._flow.restore(self._state)
                if verdict is not None:
                    raise
                verdict = error
                _LOG.debug("handler failed", exc_info=error)

    def _dead_letter(self, delivered: Delivery, error: Exception, work: Transaction) -> None:
        self._mark(self._dead_marker(delivered.record))
        letter = dead_letter(delivered.record, error, daemon=self._source, incarnation=self._incarnation, at=work.now)
        if letter.topic != DEAD_LETTER.name:
            work.emit(letter)
        place = {"topic": letter.topic, "offset": letter.offset}
        trace = None if isinstance(error, CloudBuilderError) else error
        _LOG.error("dead letter", extra={"dead": letter.dead_id, **place, "reason": letter.reason}, exc_info=trace)

    def _tick_alone(self, stop: Event) -> None:
        try:
            with self.transaction() as work:
                self._flow.tick(work)
        except Exception as error:
            self._flow.restore(self._state)
            self._complain("tick failed, will be tried again", error)
            stop.wait(min(error.delay, _LONGEST_WAIT) if isinstance(error, Retryable) else 1.0)

    def _wait(self, delay: float, stop: Event) -> None:
        """Ticks go on meanwhile, so that a runner keeps its lease."""
        until = time.monotonic() + delay
        while not stop.is_set() and (left := until - time.monotonic()) > 0:
            stop.wait(min(left, max(self._flow.max_wait(), 0.02)))
            self._tick_alone(stop)
            self._send()

    def _complain(self, what: str, error: Exception, about: Delivery | None = None) -> None:
        """Once, until something else is wrong or all is well again."""
        reason = error.message if isinstance(error, CloudBuilderError) else f"{type(error).__name__}: {error}"
        if (complaint := f"{what}: {reason}") == self._complaint:
            return
        self._complaint = complaint
        place = {"topic": about.record.partition.topic, "offset": about.record.offset} if about else {}
        trace = None if isinstance(error, CloudBuilderError) else error
        _LOG.warning(what, extra={"reason": reason, **place}, exc_info=trace)

    def _prune(self, now: float) -> None:
        if now - self._pruned_at > _PRUNE_EVERY:
            self._pruned_at = now
            self._state.prune_seen(now - EVENT_ID_RETENTION)
