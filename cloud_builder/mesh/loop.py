"""The loop that every daemon runs in. Input: records. Output: events. The flow in between never sees the broker.

    consume ──► decode ──► handle ──► outbox ──► commit ──► send
    reader      codec      flow       transaction, state    outbox_relay
                           ╰──── one transaction ────╯

Documents, positions and outgoing events are committed together. A crash at any point therefore repeats work, and
loses nothing.

    no error         the batch is one transaction: each unseen event is handled, then tick, positions, outbox
    a handler fails  see processor.py
    broker is gone   logged once; the flow keeps ticking, the outbox fills, and is sent when the broker is back
    stop             the flow hands over in a last transaction and the outbox is sent, within 5 s
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from threading import Event
from typing import TypeVar

from cloud_builder.errors import Fenced, NotAllowed, Rejected, Retryable
from cloud_builder.model.events import StateChanged
from cloud_builder.model.topics import DEAD_LETTER, TOPICS
from cloud_builder.ports.broker import Broker, Partition, Producer
from cloud_builder.ports.health import HealthReporter, NullReporter
from cloud_builder.ports.mesh import Flow
from cloud_builder.ports.state import StateStore

from . import changelog
from .changelog import Changelog
from .outage import Outage
from .outbox_relay import OutboxRelay
from .processor import BatchProcessor
from .reader import CHECK_INTERVAL, Reader, start_positions, topics_of

T = TypeVar("T")

_SEND_TIMEOUT = 2.0
"""Seconds until records that the broker did not confirm count as lost."""
_FLUSH_ON_STOP = 4.0
"""Seconds for sending the outbox when the daemon stops."""
_CONFIRM_INTERVAL = 0.5
"""Seconds between two checks whether posted records have arrived."""
_LOG = logging.getLogger("cb.mesh")


class Loop:
    """The loop of one flow. Broker and state belong to the caller, who closes them.

    `health`: gets a beat in each iteration.
    `outage`: logs outages of the broker.
    `check_interval`: seconds between two checks of the stop event and of the flow's `max_wait`, while no record comes.

    `run` is `start`, `step` until stopped, `finish`; tests may call the steps themselves."""

    def __init__(
        self,
        flow: Flow,
        broker: Broker,
        state: StateStore,
        *,
        clock: Callable[[], float] = time.time,
        health: HealthReporter | None = None,
        outage: Outage | None = None,
        check_interval: float = CHECK_INTERVAL,
    ) -> None:
        self._check_interval = check_interval
        self._flow = flow
        self._broker = broker
        self._state = state
        self._clock = clock
        self._health = health or NullReporter()
        self._outage = Outage() if outage is None else outage
        self._uses_broker = True
        """False during steps of the start that do not use the broker: their errors are not an outage."""
        self._producer: Producer | None = None
        self._repairs: list[StateChanged] | None = None
        """After the state was rebuilt: changes to write to the changelog first."""
        self._reader: Reader
        self._relay: OutboxRelay
        self._processor: BatchProcessor

    def run(self, stop: Event) -> None:
        """Runs until `stop` is set. Raises only errors that waiting does not solve: Rejected, for example for topics
        that the daemon may not use, and Fenced."""
        if self.start(stop):
            try:
                while not stop.is_set():
                    self.step(stop)
            except Fenced:
                self._close(0.0)
                raise
            except BaseException:
                self.finish()
                raise
            self.finish()

    def start(self, stop: Event) -> bool:
        """Waits for the broker, opens the state and finds the start positions; False if stopped before that."""
        while not stop.is_set():
            self._uses_broker = True
            try:
                self._connect()
            except Retryable as error:
                self._outage.failed(error, is_local=not self._uses_broker)
                self._health.beat(f"waiting: {error.message}")
                stop.wait(self._outage.delay)
            else:
                self._outage.recovered()
                self._health.ready()
                return True
        return False

    def step(self, stop: Event) -> None:
        """Runs one iteration: waits for events, at most until the next tick is due; handles, ticks, sends."""
        try:
            batch = self._reader.poll(self._max_wait, stop)
        except Retryable as error:
            self._outage.failed(error)
            stop.wait(min(self._outage.delay, max(0.0, self._flow.max_wait())))
            self._processor.process([], lambda: False, stop)
            return
        self._processor.broker_seen = self._clock()
        self._processor.process(batch, self._reader.is_at_end, stop)
        self._send()

    def finish(self) -> None:
        """Hands over: runs the flow's last transaction, sends the rest of the outbox, closes the connections."""
        until = time.monotonic() + _FLUSH_ON_STOP
        self._health.stopping()
        try:
            with self._processor.transaction() as work:
                self._flow.stop(work)
        except Exception:
            _LOG.exception("could not hand over")
        self._send_last(until)
        self._close(until - time.monotonic())
        _LOG.info("stopped", extra={"role": str(self._flow.role)})

    def _close(self, timeout: float) -> None:
        self._reader.close()
        if self._producer is not None:
            self._producer.close(max(0.1, timeout))

    def _connect(self) -> None:
        role = self._flow.role
        incarnation = self._broker.incarnation()
        written = [topic for topic in TOPICS if topic.writer is role]
        self._broker.ensure_topics(dict.fromkeys([*topics_of(role), *written, DEAD_LETTER]))
        previous = self._without_broker(self._state.incarnation)
        if previous is None and changelog.has_changelog(role):
            self._repairs = changelog.rebuild(self._broker, self._state, incarnation, self._beat)
        kept = self._without_broker(lambda: self._state.positions(incarnation))
        positions = start_positions(self._broker, role, self._flow.instance, kept)
        self._producer = self._producer or self._broker.producer()
        self._relay = OutboxRelay(self._state, self._producer)
        self._processor = BatchProcessor(
            self._flow,
            self._state,
            self._relay,
            incarnation=incarnation,
            clock=self._clock,
            live=self._producer.send_best_effort,
            send=self._send,
            changelog=Changelog(incarnation, positions, self._repairs or ()) if changelog.has_changelog(role) else None,
        )
        self._processor.broker_seen = self._clock()
        republish = previous not in (None, incarnation) or self._repairs is not None
        self._without_broker(lambda: self._open_state(incarnation, positions, republish=republish))
        self._repairs = None
        self._reader = Reader(
            self._broker, role, self._flow.instance, incarnation, positions, check_interval=self._check_interval
        )
        _LOG.info("started", extra={"role": str(role), "broker": incarnation, "resumes": bool(kept)})

    def _open_state(self, incarnation: str, positions: Mapping[Partition, int], *, republish: bool) -> None:
        """Restores the flow. `republish`: the broker or this host has lost its data, so the flow emits it again."""
        self._flow.restore(self._state)
        with self._processor.transaction() as work:
            if republish:
                self._flow.republish(work)
            self._state.save_positions(incarnation, positions)

    def _without_broker(self, action: Callable[[], T]) -> T:
        """Runs a step of the start that does not use the broker: an error in it is no outage."""
        self._uses_broker = False
        result = action()
        self._uses_broker = True
        return result

    def _max_wait(self) -> float:
        """Returns the seconds until the next iteration is due. The reader calls this repeatedly while it waits.

        While the outbox is behind, because the broker has just come back, the loop does not sleep."""
        self._beat()
        max_wait = self._flow.max_wait()
        if self._relay.is_behind:
            return self._outage.delay
        return min(max_wait, _CONFIRM_INTERVAL) if self._relay.pending else max_wait

    def _beat(self) -> None:
        self._health.beat(self._outage.what or "at work")

    def _send(self) -> None:
        self._beat()
        try:
            if self._relay.flush(_SEND_TIMEOUT):
                self._processor.broker_seen = self._clock()
        except Retryable as error:
            self._outage.failed(error)
        else:
            self._outage.recovered()

    def _send_last(self, until: float) -> None:
        while self._relay.pending and (left := until - time.monotonic()) > 0:
            try:
                self._relay.flush(left, wait=True)
            except Retryable as error:
                self._outage.failed(error)
                time.sleep(min(self._outage.delay, max(0.0, left)))
            except (Fenced, NotAllowed):
                return
        try:
            with self._processor.transaction():
                pass
        except (Retryable, Rejected):
            _LOG.warning("outbox not confirmed, its last events will be sent twice")
