"""Hands batches of events to the flow, in transactions, and isolates a record whose handler fails.

batch in one transaction ──no error──► committed
          │ error: rolled back, flow restored
          ▼
each record in its own transaction
    no error        committed and sent
    Retryable       tried again after the error's delay; later records wait, the flow ticks meanwhile
    another error   dead letter; the next record follows
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
"""Seconds: longer than the retention of any topic that is not compacted."""
_PRUNE_INTERVAL = 3600.0
_DEAD_MARKER = "dead "
"""Prefix of the markers of records that became dead letters. They are stored among the seen event ids."""
_MAX_TICK_DELAY = 5.0
"""Seconds until a failed tick is tried again, at most."""
_LOG = logging.getLogger("cb.mesh")


class BatchProcessor:
    """A processor of one flow's batches.

    `live`: sends a record at once, outside of the transaction.
    `send`: called after each commit while records are handled one by one, so that their events do not wait for the
    rest of the batch.
    `broker_seen`: the time of the last contact with the broker, which the loop keeps up to date."""

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
        self._last_warning = ""
        self._pruned_at = 0.0
        self._seen: set[str] = set()
        self._marked: list[str] = []
        self._dead_markers = state.seen_with_prefix(_DEAD_MARKER)
        """In memory, because they are few and each record is compared with them."""
        self.broker_seen = 0.0

    def process(self, batch: Sequence[Delivery], is_at_end: Callable[[], bool], stop: Event) -> None:
        """Handles the batch and ticks. If stopped while it waits, it returns early: the rest is read again later."""
        try:
            with self.transaction(batch) as work:
                for delivery in batch:
                    self._handle(delivery, work)
                work.caught_up = is_at_end()
                self._flow.tick(work)
        except Exception:
            self._flow.restore(self._state)
            self._one_by_one(batch, stop)
        else:
            self._last_warning = ""

    @contextmanager
    def transaction(self, batch: Sequence[Delivery] = ()) -> Iterator[Transaction]:
        """Commits what happens inside together with the positions after the batch and the outbox, or nothing of it."""
        work = Transaction(
            self._state, source=self._source, now=self._clock(), broker_seen=self.broker_seen, live=self._live
        )
        with self._state.transaction():
            self._seen, self._marked = self._seen_of(batch), []
            yield work
            if batch:
                positions = {delivery.record.partition: delivery.record.offset + 1 for delivery in batch}
                self._state.save_positions(self._incarnation, positions)
            self._state.mark_seen(self._marked, work.now)
            records = work.close()
            if self._changelog is not None:
                records += self._changelog.records_for(work, batch, records)
            number = self._state.outbox_add(records) if records else 0
            self._relay.confirm_sent()
            self._prune(work.now)
        self._dead_markers.update(mark for mark in self._marked if mark.startswith(_DEAD_MARKER))
        self._relay.confirmed()
        if self._changelog is not None:
            self._changelog.committed()
        if records:
            self._relay.add(number, records)

    def _handle(self, delivery: Delivery, work: Transaction) -> None:
        event = delivery.content
        if event is None or self._was_handled(delivery, event):
            return
        if isinstance(event, Undecodable):
            self._dead_letter(delivery, event, work)
            self._reject(delivery.record, event, work)
        else:
            self._mark(event.id)
            work.caused_by(event)
            self._flow.handle(event, work)
            work.caused_by(None)

    def _was_handled(self, delivery: Delivery, event: Envelope | Undecodable) -> bool:
        """Returns True if the event was handled, or became a dead letter.

        A dead letter that is read again at the same offset is not retried: its handler might succeed now, but later
        events were handled before it. A dead letter that is sent again has a new offset and is handled."""
        if isinstance(event, Envelope) and event.id in self._seen:
            return True
        return bool(self._dead_markers) and self._dead_marker(delivery.record) in self._dead_markers

    def _mark(self, event_id: str) -> None:
        self._seen.add(event_id)
        self._marked.append(event_id)

    def _seen_of(self, batch: Sequence[Delivery]) -> set[str]:
        ids = [event.content.id for event in batch if isinstance(event.content, Envelope)]
        return self._state.seen_of(ids) if ids else set()

    def _dead_marker(self, record: Record) -> str:
        topic, number = record.partition
        return f"{_DEAD_MARKER}{self._incarnation}/{topic}/{number}/{record.offset}"

    def _reject(self, record: Record, error: Undecodable, work: Transaction) -> None:
        """Rejects an unreadable message on topics that accept plain JSON, because a person may be waiting."""
        if isinstance(self._flow, HandlesMalformed) and record.partition.topic in BARE_EVENT:
            self._flow.reject(record.value, " ".join(filter(None, (error.message, error.hint))), work)

    # --- one record at a time, after an error -----------------------------------------------------------------

    def _one_by_one(self, batch: Sequence[Delivery], stop: Event) -> None:
        for delivery in batch:
            self._until_handled(delivery, stop)
            if stop.is_set():
                return
            self._send()
        self._tick_alone(stop)

    def _until_handled(self, delivery: Delivery, stop: Event) -> None:
        failure: Exception | None = None
        while not stop.is_set():
            try:
                with self.transaction([delivery]) as work:
                    if failure is None:
                        self._handle(delivery, work)
                    else:
                        self._dead_letter(delivery, failure, work)
                return
            except Retryable as error:
                self._flow.restore(self._state)
                self._warn_once("event has to wait", error, delivery)
                self._wait(error.delay, stop)
            except Exception as error:
                self._flow.restore(self._state)
                if failure is not None:
                    raise
                failure = error
                _LOG.debug("handler failed", exc_info=error)

    def _dead_letter(self, delivery: Delivery, error: Exception, work: Transaction) -> None:
        self._mark(self._dead_marker(delivery.record))
        letter = dead_letter(delivery.record, error, daemon=self._source, incarnation=self._incarnation, at=work.now)
        if letter.topic != DEAD_LETTER.name:
            work.emit(letter)
        origin = {"topic": letter.topic, "offset": letter.offset}
        trace = None if isinstance(error, CloudBuilderError) else error
        _LOG.error("dead letter", extra={"dead": letter.dead_id, **origin, "reason": letter.reason}, exc_info=trace)

    def _tick_alone(self, stop: Event) -> None:
        try:
            with self.transaction() as work:
                self._flow.tick(work)
        except Exception as error:
            self._flow.restore(self._state)
            self._warn_once("tick failed, will be tried again", error)
            stop.wait(min(error.delay, _MAX_TICK_DELAY) if isinstance(error, Retryable) else 1.0)

    def _wait(self, delay: float, stop: Event) -> None:
        """Waits `delay` seconds. The flow keeps ticking, so that a runner keeps its leases."""
        until = time.monotonic() + delay
        while not stop.is_set() and (left := until - time.monotonic()) > 0:
            stop.wait(min(left, max(self._flow.max_wait(), 0.02)))
            self._tick_alone(stop)
            self._send()

    def _warn_once(self, what: str, error: Exception, delivery: Delivery | None = None) -> None:
        """Logs a problem, unless the same one was logged last and no batch succeeded since."""
        reason = error.message if isinstance(error, CloudBuilderError) else f"{type(error).__name__}: {error}"
        if (warning := f"{what}: {reason}") == self._last_warning:
            return
        self._last_warning = warning
        origin = {"topic": delivery.record.partition.topic, "offset": delivery.record.offset} if delivery else {}
        trace = None if isinstance(error, CloudBuilderError) else error
        _LOG.warning(what, extra={"reason": reason, **origin}, exc_info=trace)

    def _prune(self, now: float) -> None:
        if now - self._pruned_at > _PRUNE_INTERVAL:
            self._pruned_at = now
            self._state.prune_seen(now - EVENT_ID_RETENTION)
