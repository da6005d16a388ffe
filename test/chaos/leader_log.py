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
    """A leader saying that it leads."""

    id: str
    epoch: int


class LeaderLog:
    """`words` in the order of the topic.

    How far the input was read grows with each packet. A leader that does not know whether some of its packets arrived
    sends them again, in one transaction: then it goes back, and on again. What it left behind must never lack."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._broker = KafkaBroker(settings)
        self._consumer: Consumer | None = None
        self._read: dict[str, int] = {}
        self._furthest: dict[str, int] = {}
        self._lost: list[str] = []
        self.words: list[LeaderRecord] = []

    @property
    def leader(self) -> LeaderRecord | None:
        return self.words[-1] if self.words else None

    @property
    def lost(self) -> list[str]:
        """Returns the epochs that ended with positions behind those of before."""
        return [*self._lost, *self._lacking()]

    def listen(self) -> None:
        """To all there is; a broker that is away is nothing to speak of."""
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
        positions = json.loads(put.body.json)
        if collection == LEADER:
            word = LeaderRecord(positions["id"], positions["epoch"])
            if word != self.leader:
                self._lost += self._lacking()
            self.words.append(word)
        else:
            self._read = positions
            self._furthest = {
                partition: max(read, self._furthest.get(partition, 0)) for partition, read in positions.items()
            }

    def _lacking(self) -> list[str]:
        return [
            f"after epoch {self.leader}: {partition} was read to {self._read.get(partition)}, and to {furthest} before"
            for partition, furthest in self._furthest.items()
            if self._read.get(partition, 0) < furthest
        ]
