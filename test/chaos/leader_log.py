"""Records the leaders over time from the committed records of cb.state, over a connection without faults."""

from __future__ import annotations

import json
from typing import NamedTuple

from cloud_builder.adapters.kafka.broker import KafkaBroker
from cloud_builder.errors import Retryable
from cloud_builder.mesh.changelog import LEADER, POSITIONS, change_of
from cloud_builder.model.frozen import CachedJson
from cloud_builder.model.settings import BrokerSettings
from cloud_builder.model.topics import STATE
from cloud_builder.ports.broker import Consumer, Record


class LeaderRecord(NamedTuple):
    """A heartbeat of a leader."""

    id: str
    epoch: int


class LeaderLog:
    """The heartbeats of leaders, in the order of the topic.

    The saved positions grow with each packet. A leader that does not know whether some of its packets arrived sends
    them again in one transaction: the positions go back, and then on again. At the end of an epoch none may be behind
    the furthest before."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._broker = KafkaBroker(settings)
        self._consumer: Consumer | None = None
        self._read: dict[str, int] = {}
        self._furthest: dict[str, int] = {}
        self._lost: list[str] = []
        self.heartbeats: list[LeaderRecord] = []

    @property
    def leader(self) -> LeaderRecord | None:
        return self.heartbeats[-1] if self.heartbeats else None

    @property
    def lost(self) -> list[str]:
        """Returns the epochs that ended with positions behind those of before."""
        return [*self._lost, *self._lacking()]

    def listen(self) -> None:
        """Reads all records so far. An unreachable broker is no error: it is one of the faults."""
        try:
            if self._consumer is None:
                marks = self._broker.watermarks([STATE.name])
                self._consumer = self._broker.consumer(dict.fromkeys(marks, 0)) if marks else None
            while self._consumer is not None and (records := self._consumer.poll(1000, 0.0)):
                for record in records:
                    self._take(record)
        except Retryable:
            return

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()

    def _take(self, record: Record) -> None:
        collection = (record.key or b"").decode().partition("/")[0]
        if collection not in (LEADER, POSITIONS) or (put := change_of(record)) is None:
            return
        assert isinstance(put.body, CachedJson)
        body = json.loads(put.body.json)
        if collection == LEADER:
            heartbeat = LeaderRecord(body["id"], body["epoch"])
            if heartbeat != self.leader:
                self._lost += self._lacking()
            self.heartbeats.append(heartbeat)
        else:
            self._read = body
            self._furthest = {
                partition: max(read, self._furthest.get(partition, 0)) for partition, read in body.items()
            }

    def _lacking(self) -> list[str]:
        return [
            f"after epoch {self.leader}: {partition} was read to {self._read.get(partition)}, and to {furthest} before"
            for partition, furthest in self._furthest.items()
            if self._read.get(partition, 0) < furthest
        ]
