"""Who leads, when several processes of one role share a changelog (cb.state): one leads and writes, the others follow.

The leader says so in the changelog every few seconds (`leader/leader`: id, epoch, at). A follower copies the changelog
into its own state; when the leader was silent for long enough, it takes the name under which all of them write (from
then on the broker takes nothing from the old one), reads what was committed until then, and leads with epoch + 1.

A state of one's own counts only while nobody else has led since: otherwise it holds what was never committed, and is
set aside for a copy of the changelog. Needs a broker with transactions: the changelog never holds half a packet.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from cloud_builder.model.frozen import CachedJson
from cloud_builder.model.outcome import Role
from cloud_builder.model.topics import STATE
from cloud_builder.ports.broker import Broker, Partition, Record
from cloud_builder.ports.mesh import Flow, Received, UnitOfWork
from cloud_builder.ports.state import Documents, StateStore

from .changelog import LEADER, LEADER_KEY, ChangelogReplica, change_of

ROLE = "succession"
"""Collection and key of what this process is, in its own state alone."""
HEARTBEAT_INTERVAL = 3.0
_MAX_OVERSLEEP = 1.0
"""Seconds: a step that took so much longer than it was to wait."""
_TAIL = 2000
_BATCH = 5000


@dataclass(frozen=True)
class LeaderEpoch:
    """Who leads. `epoch` counts the reigns."""

    id: str
    epoch: int


class LeaderFlow:
    """A flow that leads: it says so in its changelog. `note` is called at each tick."""

    def __init__(self, flow: Flow, reign: LeaderEpoch, note: Callable[[], None] = lambda: None) -> None:
        self._flow = flow
        self._note = note
        self._reign = reign
        self._said = 0.0

    @property
    def role(self) -> Role:
        return self._flow.role

    @property
    def instance(self) -> str:
        return self._flow.instance

    def restore(self, state: Documents) -> None:
        self._said = 0.0
        self._flow.restore(state)

    def republish(self, work: UnitOfWork) -> None:
        self._flow.republish(work)

    def handle(self, event: Received, work: UnitOfWork) -> None:
        self._flow.handle(event, work)

    def tick(self, work: UnitOfWork) -> None:
        if not 0 <= work.now - self._said < HEARTBEAT_INTERVAL:
            self._said = work.now
            work.documents.put(LEADER, LEADER, {"id": self._reign.id, "epoch": self._reign.epoch, "at": work.now})
        self._flow.tick(work)
        self._note()

    def max_wait(self) -> float:
        return min(self._flow.max_wait(), HEARTBEAT_INTERVAL / 3)

    def stop(self, work: UnitOfWork) -> None:
        self._flow.stop(work)


class StandbyReplica:
    """Copies the changelog into `state`. Every call but `close` may raise Retryable; then make a new one.

    `clock` is steady: how long the leader was silent is measured here, from when we had read all there was."""

    def __init__(
        self, broker: Broker, state: StateStore, incarnation: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._state, self._clock, self._incarnation = state, clock, incarnation
        kept = state.positions(incarnation)
        marks = broker.watermarks([STATE.name])
        start = {place: kept.get(place, oldest) for place, (oldest, _) in marks.items()}
        self._copy = ChangelogReplica(state, incarnation, resumes=True)
        self._consumer = broker.consumer(start)
        self._broker = broker
        self._heard: float | None = None
        self._listened = clock()
        with state.transaction():
            state.put(ROLE, ROLE, {"leads": False})

    @property
    def leader(self) -> LeaderEpoch | None:
        """As far as was read."""
        return epoch_of(self._state)

    @property
    def silence(self) -> float:
        """Seconds since the leader was last heard; 0 before all was read."""
        return 0.0 if self._heard is None else self._clock() - self._heard

    def step(self, timeout: float) -> None:
        """Reads on. While we did not listen (frozen, or the disk was slow) nobody was silent."""
        records = self._consumer.poll(_BATCH, timeout)
        self._copy.apply(records)
        now = self._clock()
        was_deaf = now - self._listened > timeout + _MAX_OVERSLEEP
        self._listened = now
        if self._heard is None:
            self._heard = now if self._consumer.is_at_end() else None
        elif was_deaf or any(record.key == LEADER_KEY for record in records):
            self._heard = now

    def catch_up(self, beat: Callable[[], None]) -> None:
        """After nobody else can write: the rest of the changelog; then the state is ours to lead with."""
        while not self._consumer.is_at_end():
            self.step(0.5)
            beat()
        self._copy.promote(self._broker)

    def close(self) -> None:
        self._consumer.close()


def epoch_of(state: Documents) -> LeaderEpoch | None:
    """The reign that a state knows of."""
    found = state.get(LEADER, LEADER)
    return None if found is None else LeaderEpoch(str(found["id"]), int(found["epoch"]))


def mark_leader(state: StateStore) -> None:
    """From now on this state is a leader's own."""
    with state.transaction():
        state.put(ROLE, ROLE, {"leads": True})


def is_leader_state(state: StateStore) -> bool:
    return bool((state.get(ROLE, ROLE) or {}).get("leads"))


def is_empty(state: StateStore) -> bool:
    return state.incarnation() is None


def is_replica(state: StateStore) -> bool:
    """A follower's: what it holds belongs to another's reign."""
    return state.get(ROLE, ROLE) is not None and not is_leader_state(state)


def latest_epoch(broker: Broker) -> LeaderEpoch | None:
    """The newest word of a leader in the changelog, looked for from its end."""
    [(place, (oldest, end))] = broker.watermarks([STATE.name]).items()
    size = _TAIL
    while True:
        start = max(oldest, end - size)
        found = _newest(broker, place, start, end)
        if found is not None or start == oldest:
            return found
        size *= 10


def _newest(broker: Broker, place: Partition, start: int, end: int) -> LeaderEpoch | None:
    consumer, newest = broker.consumer({place: start}), None
    try:
        while start < end and not consumer.is_at_end():
            for record in consumer.poll(_BATCH, 0.5):
                newest = record if record.key == LEADER_KEY else newest
    finally:
        consumer.close()
    return None if newest is None else _reign(newest)


def _reign(record: Record) -> LeaderEpoch | None:
    put = change_of(record)
    if put is None or not isinstance(put.body, CachedJson):
        return None
    said = json.loads(put.body.json)
    return LeaderEpoch(str(said["id"]), int(said["epoch"]))
