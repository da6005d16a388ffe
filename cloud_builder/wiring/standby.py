"""Runs one of several schedulers: it follows the leader, takes over, leads, and follows again when another one has led.

Only Kafka decides which scheduler leads: the newest producer with the transactional id `cb-scheduler`. A scheduler uses
its own state only if it led last. Otherwise the state is renamed to state.sqlite.stale (only the last one is kept), and
copied anew from cb.state. See `mesh/leadership`, and the decision on the standby in doc/decisions/.
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

_FOLLOW_TIMEOUT = 0.25
"""Seconds that a standby waits for events before it checks for a stop and for the leader's silence."""
_REPLICA_MAX_AGE = 12 * 3600.0
"""Seconds without following, after which a standby copies cb.state anew."""
_LOG = logging.getLogger("cb.standby")

Assemble = Callable[[Settings, ExitStack], Flow]


def serve(settings: Settings, directory: Path, assemble_flow: Assemble, stop: Event) -> None:
    """Runs until `stop` is set. Rejected on the embedded broker, which cannot fence producers."""
    from cloud_builder.adapters.kafka.fenced import FencingBroker
    from cloud_builder.adapters.systemd import notify

    if settings.broker.embedded:
        hint = "Use Apache Kafka (--broker), or remove scheduler.ha and --standby."
        raise Rejected("the embedded broker cannot run several schedulers", code="bad-setting", hint=hint)
    directory.mkdir(parents=True, exist_ok=True)
    outage, pulse = Outage(), notify.of_environment(os.environ)
    lead_at_once = not settings.scheduler.standby
    while not stop.is_set():
        try:
            with ExitStack() as stack:
                broker = FencingBroker(settings.broker, offers=settings.dispatch is Dispatch.SHARED_QUEUE)
                stack.callback(broker.close)
                session = StandbySession(settings, directory / "state.sqlite", stack, pulse, stop, broker=broker)
                session.connect()
                outage.recovered()
                session.run(assemble_flow, lead_at_once)
        except Fenced as error:
            _LOG.warning("replaced, following from now on", extra={"reason": error.message})
            lead_at_once = not error.is_certain
        except Retryable as error:
            outage.failed(error)
            pulse.beat(f"waiting: {error.message}")
            stop.wait(outage.delay)
        else:
            outage.recovered()


def refuse_copy(state: SqliteState) -> None:
    """Rejected for a standby's state: a scheduler without others must not lead with it while its leader may run."""
    if leadership.is_replica(state):
        hint = "Set scheduler.ha, or move the file away; a scheduler with scheduler.ha then starts from cb.state."
        raise Rejected("the state is the copy of a standby, and scheduler.ha is off", code="standby-copy", hint=hint)


class StandbySession:
    """One session of a scheduler, to the end of its own epoch. It follows first, unless no other can have led."""

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
        self._written_at = max((file.stat().st_mtime for file in files if file.exists()), default=0.0)
        self._state = self._open()

    def connect(self) -> None:
        """Connects. Retryable while the broker cannot be reached."""
        self._broker.incarnation()
        self._broker.ensure_topics([STATE, RUNNERS])

    def run(self, assemble_flow: Assemble, lead_at_once: bool) -> None:
        """Follows and leads. Retryable if the broker fails while this scheduler follows, Fenced if another leads."""
        epoch = self._acquire_at_once() if lead_at_once else None
        if epoch is None:
            epoch = self._acquire_after_following()
        if epoch is not None:
            self._lead(LeaderEpoch(self._id, epoch), assemble_flow)

    def _acquire_at_once(self) -> int | None:
        """Returns the epoch to lead with. None if this state is not the last leader's, unless no scheduler has led yet.

        Checks a second time after other schedulers cannot write any more."""
        if not self._is_of_last_epoch():
            return None
        self._broker.acquire(TRANSACTIONAL_ID)
        if not self._is_of_last_epoch():
            return None
        last = leadership.epoch_of(self._state)
        return 1 if last is None else last.epoch + 1

    def _is_of_last_epoch(self) -> bool:
        last = leadership.latest_epoch(self._broker)
        if last is None:
            return not leadership.is_replica(self._state)
        return leadership.is_leader_state(self._state) and leadership.epoch_of(self._state) == last

    def _acquire_after_following(self) -> int | None:
        """Follows until the leader is silent. Returns the epoch to lead with; None if `stop` was set."""
        if not leadership.is_empty(self._state) and not self._is_replica_fresh():
            self._rename_stale_state()
        replica = StandbyReplica(self._broker, self._state, self._broker.incarnation())
        self._stack.callback(replica.close)
        self._pulse.ready()
        _LOG.info("following", extra={"id": self._id, "silence": self._settings.scheduler.leader_timeout})
        while replica.silence < self._settings.scheduler.leader_timeout:
            replica.step(_FOLLOW_TIMEOUT)
            leader = replica.leader
            self._pulse.beat(f"standby of {leader.id}" if leader else "standby, no leader")
            if self._stop.is_set():
                return None
        old = replica.leader
        _LOG.warning("taking over", extra={"from": old.id if old else None, "silent": round(replica.silence, 1)})
        self._broker.acquire(TRANSACTIONAL_ID)
        replica.catch_up(lambda: self._pulse.beat("taking over"))
        last = replica.leader
        return 1 if last is None else last.epoch + 1

    def _lead(self, epoch: LeaderEpoch, assemble_flow: Assemble) -> None:
        """Leads until `stop` is set. Fenced when another scheduler leads.

        Another one can have led between taking the transactional id and reading cb.state, while the broker was
        unreachable; then cb.state has several leaders."""
        leadership.mark_leader(self._state)
        heartbeat = LeaderHeartbeat(epoch, self._broker.send_now)
        flow = LeaderFlow(assemble_flow(self._settings, self._stack), epoch, heartbeat.progressed)
        heartbeat.start()
        self._stack.callback(heartbeat.close)
        _LOG.info("leading", extra={"id": epoch.id, "epoch": epoch.epoch})
        try:
            Loop(flow, self._broker, self._state, clock=SteadyClock(), health=self._pulse).run(self._stop)
        except Rejected as error:
            if error.code != MULTIPLE_LEADERS:
                raise
            raise Fenced("another scheduler led before this one could begin", code="fenced") from None

    def _open(self) -> SqliteState:
        from cloud_builder.adapters.sqlite.state import SqliteState

        state = SqliteState(self._path)
        self._stack.callback(state.close)
        return state

    def _is_replica_fresh(self) -> bool:
        """True if the replica can continue to follow.

        Kafka keeps tombstones for a day; a replica that did not follow for longer could miss deletions."""
        return leadership.is_replica(self._state) and abs(time.time() - self._written_at) < _REPLICA_MAX_AGE

    def _rename_stale_state(self) -> None:
        """Renames the state: it may have uncommitted changes since another leader, or is too old to follow with."""
        _LOG.warning("the state is stale, starting from cb.state", extra={"kept": f"{self._path}.stale"})
        self._state.close()
        self._path.replace(f"{self._path}.stale")
        for suffix in ("-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        self._state = self._open()
