"""One of several schedulers, of which one leads: follow, take over, lead, and follow again when somebody else has.

Who leads is decided by Kafka alone: the newest producer that took the transactional id `cb-scheduler`. What a scheduler
finds in its own state counts only when it led last; else that is set aside (state.sqlite.stale, the last one is
kept), and the state is copied from cb.state. See `mesh/leadership`, and the decision on the standby in doc/decisions/.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from cloud_builder.errors import Fenced, Rejected, Retryable
from cloud_builder.mesh import leadership
from cloud_builder.mesh.changelog import MULTIPLE_LEADERS
from cloud_builder.mesh.clock import SteadyClock
from cloud_builder.mesh.leader_heartbeat import LeaderHeartbeat
from cloud_builder.mesh.leadership import LeaderEpoch, LeaderFlow, StandbyReplica
from cloud_builder.mesh.loop import Loop
from cloud_builder.mesh.outage import Outage
from cloud_builder.model.dispatch import Dispatch
from cloud_builder.model.settings import Settings
from cloud_builder.model.topics import RUNNERS, STATE, TRANSACTIONAL_ID
from cloud_builder.ports.health import HealthReporter
from cloud_builder.ports.mesh import Flow

if TYPE_CHECKING:
    from cloud_builder.adapters.kafka.fenced import FencingBroker
    from cloud_builder.adapters.sqlite.state import SqliteState

NAME = "cb-scheduler"
"""The transactional id that all schedulers of a mesh share."""
_SLICE = 0.25
_COPY_GOOD_FOR = 12 * 3600.0
"""Seconds without following."""
_LOG = logging.getLogger("cb.standby")

Assemble = Callable[[Settings, ExitStack], Flow]


def serve(settings: Settings, directory: Path, assemble_flow: Assemble, stop: Event) -> None:
    """Until told to stop. Rejected on the embedded broker, which cannot fence."""
    from cloud_builder.adapters.kafka.fenced import FencingBroker
    from cloud_builder.adapters.systemd import notify

    if settings.broker.embedded:
        hint = "Use Apache Kafka (--broker), or leave scheduler.ha and --standby away."
        raise Rejected("the embedded broker cannot keep two schedulers apart", code="bad-setting", hint=hint)
    directory.mkdir(parents=True, exist_ok=True)
    outage, pulse = Outage(), notify.of_environment(os.environ)
    eager = not settings.scheduler.standby
    while not stop.is_set():
        try:
            with ExitStack() as stack:
                broker = FencingBroker(settings.broker, offers=settings.dispatch is Dispatch.SHARED_QUEUE)
                stack.callback(broker.close)
                turn = StandbySession(settings, directory / "state.sqlite", stack, pulse, stop, broker=broker)
                turn.connect()
                outage.recovered()
                turn.run(assemble_flow, eager)
        except Fenced as error:
            _LOG.warning("replaced, following from now on", extra={"reason": error.message})
            eager = not error.is_certain
        except Retryable as error:
            outage.failed(error)
            pulse.beat(f"waiting: {error.message}")
            stop.wait(outage.delay)
        else:
            outage.recovered()


def refuse_copy(state: SqliteState) -> None:
    """A standby's state is no state to lead with, as long as its leader may live."""
    if leadership.is_replica(state):
        hint = "Start it with scheduler.ha, or move the file away: a new host starts from cb.state."
        raise Rejected("this state is the copy of a standby, and scheduler.ha is off", code="standby-copy", hint=hint)


class StandbySession:
    """From following (or not, when nobody else can have led) to the end of one reign."""

    def __init__(
        self,
        settings: Settings,
        path: Path,
        stack: ExitStack,
        pulse: HealthReporter,
        stop: Event,
        *,
        broker: FencingBroker,
    ) -> None:
        self._settings, self._path, self._stack, self._pulse, self._stop = settings, path, stack, pulse, stop
        self._id = settings.scheduler.id or socket.gethostname()
        self._broker = broker
        files = (path, Path(f"{path}-wal"))
        self._written = max((file.stat().st_mtime for file in files if file.exists()), default=0.0)
        self._state = self._opened()

    def connect(self) -> None:
        """Retryable while the broker is away."""
        self._broker.incarnation()
        self._broker.ensure_topics([STATE, RUNNERS])

    def run(self, assemble_flow: Assemble, eager: bool) -> None:
        """Retryable while the broker is away and we do not lead; Fenced when somebody else does."""
        epoch = self._at_once() if eager else None
        if epoch is None:
            epoch = self._after_following()
        if epoch is not None:
            self._lead(LeaderEpoch(self._id, epoch), assemble_flow)

    def _at_once(self) -> int | None:
        """The epoch to lead with, when this state is of the last reign, or nobody ever led. Looked at again when nobody
        else can write any more."""
        if not self._is_of_last_reign():
            return None
        self._broker.acquire(TRANSACTIONAL_ID)
        if not self._is_of_last_reign():
            return None
        known = leadership.epoch_of(self._state)
        return 1 if known is None else known.epoch + 1

    def _is_of_last_reign(self) -> bool:
        last = leadership.latest_epoch(self._broker)
        if last is None:
            return not leadership.is_replica(self._state)
        return leadership.is_leader_state(self._state) and leadership.epoch_of(self._state) == last

    def _after_following(self) -> int | None:
        """The epoch to lead with, once the leader is silent; None: told to stop."""
        if not leadership.is_empty(self._state) and not self._may_go_on():
            self._set_aside()
        follower = StandbyReplica(self._broker, self._state, self._broker.incarnation())
        self._stack.callback(follower.close)
        self._pulse.ready()
        _LOG.info("following", extra={"id": self._id, "silence": self._settings.scheduler.leader_timeout})
        while follower.silence < self._settings.scheduler.leader_timeout:
            follower.step(_SLICE)
            leader = follower.leader
            self._pulse.beat(f"standby of {leader.id}" if leader else "standby, nobody leads")
            if self._stop.is_set():
                return None
        old = follower.leader
        _LOG.warning("taking over", extra={"from": old.id if old else None, "silent": round(follower.silence, 1)})
        self._broker.acquire(TRANSACTIONAL_ID)
        follower.catch_up(lambda: self._pulse.beat("taking over"))
        last = follower.leader
        return 1 if last is None else last.epoch + 1

    def _lead(self, reign: LeaderEpoch, assemble_flow: Assemble) -> None:
        """Until told to stop. Fenced when another leads; between the taking of the name and the first look at cb.state
        (the broker may have been away for long) that shows there."""
        leadership.mark_leader(self._state)
        led, voice = assemble_flow(self._settings, self._stack), LeaderHeartbeat(reign, self._broker.send_now)
        flow = LeaderFlow(led, reign, voice.progressed)
        voice.start()
        self._stack.callback(voice.close)
        _LOG.info("leading", extra={"id": reign.id, "epoch": reign.epoch})
        try:
            Loop(flow, self._broker, self._state, clock=SteadyClock(), health=self._pulse).run(self._stop)
        except Rejected as error:
            if error.code != MULTIPLE_LEADERS:
                raise
            raise Fenced("another has led before this one could begin", code="fenced") from None

    def _opened(self) -> SqliteState:
        from cloud_builder.adapters.sqlite.state import SqliteState

        state = SqliteState(self._path)
        self._stack.callback(state.close)
        return state

    def _may_go_on(self) -> bool:
        """Whether a copy may be followed on with: Kafka keeps tombstones for a day, so one that did not follow for
        longer might never hear of what is gone."""
        return leadership.is_replica(self._state) and abs(time.time() - self._written) < _COPY_GOOD_FOR

    def _set_aside(self) -> None:
        """What was written here since another led was never committed, or too much was told since it was copied."""
        _LOG.warning("another has led since: starting from cb.state", extra={"kept": f"{self._path}.stale"})
        self._state.close()
        self._path.replace(f"{self._path}.stale")
        for tail in ("-wal", "-shm"):
            Path(f"{self._path}{tail}").unlink(missing_ok=True)
        self._state = self._opened()
