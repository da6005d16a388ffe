"""The loop that every daemon runs in: poll → decode → one transaction for the batch → commit → send the outbox.

In come records, out go events; in between stands a flow that knows nothing of either. What the flow did, how far the
daemon has read and what it wants to say are committed together, so a crash at any point repeats and loses nothing.

    all well         the batch is one transaction: handle each unseen event, tick, positions, outbox
    a handler fails  see handling.py
    broker gone      said once; the flow keeps ticking, the outbox fills, and is sent when the broker is back
    stop             the flow hands over in a last transaction, the outbox is sent, within 5 s
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
_FLUSH_ON_STOP = 4.0
_RETRY_START = 0.5
"""Seconds: whether what was posted has arrived."""
_LOG = logging.getLogger("cb.mesh")


class Loop:
    """Runs one flow. Broker and state belong to the caller, who closes them. `pulse` hears of every round.

    `check_interval`: seconds between two checks, while nothing comes in, of the stop event and the flow's patience.

    `run` is `start`, `step` until stopped, `finish`; tests may step by themselves."""

    def __init__(
        self,
        flow: Flow,
        broker: Broker,
        state: StateStore,
        *,
        clock: Callable[[], float] = time.time,
        pulse: HealthReporter | None = None,
        outage: Outage | None = None,
        check_interval: float = CHECK_INTERVAL,
    ) -> None:
        self._check_interval = check_interval
        self._flow = flow
        self._broker = broker
        self._state = state
        self._clock = clock
        self._pulse = pulse or NullReporter()
        self._outage = Outage() if outage is None else outage
        self._with_broker = True
        """What is being done asks the broker."""
        self._producer: Producer | None = None
        self._mends: list[StateChanged] | None = None
        """After the state was rebuilt: what is to be told first."""
        self._reader: Reader
        self._relay: OutboxRelay
        self._handling: BatchProcessor

    def run(self, stop: Event) -> None:
        """Until `stop` is set. Raises only what no waiting can mend: Rejected, e.g. for topics it may not use, and
        Fenced."""
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
        """Finds the broker (waits for it) and the place to read on from; False when stopped before."""
        while not stop.is_set():
            self._with_broker = True
            try:
                self._connect()
            except Retryable as error:
                self._outage.failed(error, is_ours=not self._with_broker)
                self._pulse.beat(f"waiting: {error.message}")
                stop.wait(self._outage.delay)
            else:
                self._outage.recovered()
                self._pulse.ready()
                return True
        return False

    def step(self, stop: Event) -> None:
        """One round: waits for events or for the flow's patience to end; handles, ticks, sends."""
        try:
            batch = self._reader.poll(self._patience, stop)
        except Retryable as error:
            self._outage.failed(error)
            stop.wait(min(self._outage.delay, max(0.0, self._flow.max_wait())))
            self._handling.process([], lambda: False, stop)
            return
        self._handling.broker_seen = self._clock()
        self._handling.process(batch, self._reader.is_at_end, stop)
        self._send()

    def finish(self) -> None:
        """Hands over: the flow's last transaction, the rest of the outbox, the connections."""
        until = time.monotonic() + _FLUSH_ON_STOP
        self._pulse.stopping()
        try:
            with self._handling.transaction() as work:
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
        previous = self._is_expected(self._state.incarnation)
        if previous is None and changelog.has_changelog(role):
            self._mends = changelog.rebuild(self._broker, self._state, incarnation, self._beat)
        kept = self._is_expected(lambda: self._state.positions(incarnation))
        positions = start_positions(self._broker, role, self._flow.instance, kept)
        self._producer = self._producer or self._broker.producer()
        self._relay = OutboxRelay(self._state, self._producer)
        self._handling = BatchProcessor(
            self._flow,
            self._state,
            self._relay,
            incarnation=incarnation,
            clock=self._clock,
            live=self._producer.send_best_effort,
            send=self._send,
            changelog=Changelog(incarnation, positions, self._mends or ()) if changelog.has_changelog(role) else None,
        )
        self._handling.broker_seen = self._clock()
        tells_again = previous not in (None, incarnation) or self._mends is not None
        self._is_expected(lambda: self._open_state(incarnation, positions, tells_again=tells_again))
        self._mends = None
        self._reader = Reader(
            self._broker, role, self._flow.instance, incarnation, positions, check_interval=self._check_interval
        )
        _LOG.info("started", extra={"role": str(role), "broker": incarnation, "goes_on": bool(kept)})

    def _open_state(self, incarnation: str, positions: Mapping[Partition, int], *, tells_again: bool) -> None:
        """What the flow remembers, and, where the broker or this host has lost its memory, what it tells again."""
        self._flow.restore(self._state)
        with self._handling.transaction() as work:
            if tells_again:
                self._flow.republish(work)
            self._state.save_positions(incarnation, positions)

    def _is_expected(self, do: Callable[[], T]) -> T:
        """A step in which not the broker is to blame for what goes wrong."""
        self._with_broker = False
        done = do()
        self._with_broker = True
        return done

    def _patience(self) -> float:
        """No sleep while the outbox waits for a broker that has just come back. Asked all the time while we wait."""
        self._beat()
        patience = self._flow.max_wait()
        if self._relay.is_behind:
            return self._outage.delay
        return min(patience, _RETRY_START) if self._relay.pending else patience

    def _beat(self) -> None:
        self._pulse.beat(self._outage.what or "at work")

    def _send(self) -> None:
        self._beat()
        try:
            if self._relay.flush(_SEND_TIMEOUT):
                self._handling.broker_seen = self._clock()
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
            with self._handling.transaction():
                pass
        except (Retryable, Rejected):
            _LOG.warning("outbox not settled, its last events will be sent twice")
