"""Leadership among several processes of one role that share a changelog (cb.state): one leader, the others standby.

    leader     writes; sends a heartbeat every few seconds: `leader/leader` = {id, epoch, at} in the changelog
    standby    copies the changelog into its own state, and measures how long no heartbeat arrived

    standby ──silence too long──► fences: acquires the transactional id, so that the broker rejects the old leader
            ──► catch_up: reads what was committed until then ──► leader with epoch + 1

A process may continue from its local state only if no other process has led since that state was written. Otherwise the
local state can contain uncommitted changes; it is renamed and replaced by a copy of the changelog. Leadership needs a
broker with transactions, so that the changelog never holds an incomplete packet.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from cloud_builder.model.frozen import CachedJson
from cloud_builder.model.role import Role
from cloud_builder.model.topics import STATE
from cloud_builder.ports.broker import Broker, Partition, Record
from cloud_builder.ports.mesh import Flow, Received, UnitOfWork
from cloud_builder.ports.state import Documents, StateStore

from .changelog import LEADER, LEADER_KEY, ChangelogReplica, change_of

ROLE = "leadership"
"""Collection and key of this process's role (leader or replica). Only in its own state, not in the changelog."""
HEARTBEAT_INTERVAL = 3.0
"""Seconds."""
_MAX_OVERSLEEP = 1.0
"""Seconds. A step that takes longer than its time-out by more than this was interrupted: silence starts anew."""
_TAIL = 2000
"""Records at the end of the changelog in which the newest heartbeat is looked for first."""
_BATCH = 5000


@dataclass(frozen=True)
class LeaderEpoch:
    """A leader's term of office. `id`: the leading process. `epoch`: increases by one with each new leader."""

    id: str
    epoch: int


class LeaderFlow:
    """The flow of a leader: adds its heartbeat to the changelog. `on_tick` is called after each tick."""

    def __init__(self, flow: Flow, epoch: LeaderEpoch, on_tick: Callable[[], None] = lambda: None) -> None:
        self._flow = flow
        self._on_tick = on_tick
        self._epoch = epoch
        self._last_heartbeat = 0.0

    @property
    def role(self) -> Role:
        return self._flow.role

    @property
    def instance(self) -> str:
        return self._flow.instance

    def restore(self, state: Documents) -> None:
        self._last_heartbeat = 0.0
        self._flow.restore(state)

    def republish(self, work: UnitOfWork) -> None:
        self._flow.republish(work)

    def handle(self, event: Received, work: UnitOfWork) -> None:
        self._flow.handle(event, work)

    def tick(self, work: UnitOfWork) -> None:
        if not 0 <= work.now - self._last_heartbeat < HEARTBEAT_INTERVAL:
            self._last_heartbeat = work.now
            work.documents.put(LEADER, LEADER, {"id": self._epoch.id, "epoch": self._epoch.epoch, "at": work.now})
        self._flow.tick(work)
        self._on_tick()

    def max_wait(self) -> float:
        return min(self._flow.max_wait(), HEARTBEAT_INTERVAL / 3)

    def stop(self, work: UnitOfWork) -> None:
        self._flow.stop(work)


class StandbyReplica:
    """A standby's copy of the changelog, in `state`.

    Each call except `close` may raise Retryable; the caller then makes a new replica. `clock` is monotonic: the replica
    measures the leader's silence from the moment when it has read the whole changelog."""

    def __init__(
        self, broker: Broker, state: StateStore, incarnation: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._state, self._clock, self._incarnation = state, clock, incarnation
        kept = state.positions(incarnation)
        marks = broker.watermarks([STATE.name])
        start = {partition: kept.get(partition, oldest) for partition, (oldest, _) in marks.items()}
        self._changelog = ChangelogReplica(state, incarnation, resumes=True)
        self._consumer = broker.consumer(start)
        self._broker = broker
        self._last_heartbeat: float | None = None
        self._stepped = clock()
        with state.transaction():
            state.put(ROLE, ROLE, {"leads": False})

    @property
    def leader(self) -> LeaderEpoch | None:
        """The leader in the part of the changelog that was read."""
        return epoch_of(self._state)

    @property
    def silence(self) -> float:
        """Seconds since the last heartbeat; 0 until the whole changelog was read."""
        return 0.0 if self._last_heartbeat is None else self._clock() - self._last_heartbeat

    def step(self, timeout: float) -> None:
        """Reads on. The time during which this process did not read (frozen, or a slow disk) is no silence."""
        records = self._consumer.poll(_BATCH, timeout)
        self._changelog.apply(records)
        now = self._clock()
        was_interrupted = now - self._stepped > timeout + _MAX_OVERSLEEP
        self._stepped = now
        if self._last_heartbeat is None:
            self._last_heartbeat = now if self._consumer.is_at_end() else None
        elif was_interrupted or any(record.key == LEADER_KEY for record in records):
            self._last_heartbeat = now

    def catch_up(self, beat: Callable[[], None]) -> None:
        """Reads the rest of the changelog and makes the state a leader's. Called when no other process can write."""
        while not self._consumer.is_at_end():
            self.step(0.5)
            beat()
        self._changelog.promote(self._broker)

    def close(self) -> None:
        self._consumer.close()


def epoch_of(state: Documents) -> LeaderEpoch | None:
    """Returns the leader that a state knows; None: none yet."""
    found = state.get(LEADER, LEADER)
    return None if found is None else LeaderEpoch(str(found["id"]), int(found["epoch"]))


def mark_leader(state: StateStore) -> None:
    """Marks the state as a leader's."""
    with state.transaction():
        state.put(ROLE, ROLE, {"leads": True})


def is_leader_state(state: StateStore) -> bool:
    """Returns True if the state was marked as a leader's."""
    return bool((state.get(ROLE, ROLE) or {}).get("leads"))


def is_empty(state: StateStore) -> bool:
    """Returns True if no positions were ever saved in the state."""
    return state.incarnation() is None


def is_replica(state: StateStore) -> bool:
    """Returns True if the state is a standby's: its documents belong to another process's epoch."""
    return state.get(ROLE, ROLE) is not None and not is_leader_state(state)


def latest_epoch(broker: Broker) -> LeaderEpoch | None:
    """Returns the newest leader in the changelog, which is searched from its end; None: there is none."""
    [(partition, (oldest, end))] = broker.watermarks([STATE.name]).items()
    size = _TAIL
    while True:
        start = max(oldest, end - size)
        found = _newest(broker, partition, start, end)
        if found is not None or start == oldest:
            return found
        size *= 10


def _newest(broker: Broker, partition: Partition, start: int, end: int) -> LeaderEpoch | None:
    consumer, newest = broker.consumer({partition: start}), None
    try:
        while start < end and not consumer.is_at_end():
            for record in consumer.poll(_BATCH, 0.5):
                newest = record if record.key == LEADER_KEY else newest
    finally:
        consumer.close()
    return None if newest is None else _epoch_in(newest)


def _epoch_in(record: Record) -> LeaderEpoch | None:
    put = change_of(record)
    if put is None or not isinstance(put.body, CachedJson):
        return None
    body = json.loads(put.body.json)
    return LeaderEpoch(str(body["id"]), int(body["epoch"]))
