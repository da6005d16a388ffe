"""Who led when, as cb.state tells it to a reader of committed records, over a line that no fault touches."""

from __future__ import annotations

import json
from typing import NamedTuple

from cloud_builder.adapters.kafka.broker import KafkaBroker
from cloud_builder.errors import Retryable
from cloud_builder.mesh.changelog import LEADER, POSITIONS, change_of
from cloud_builder.model.frozen import Dumped
from cloud_builder.model.settings import BrokerSettings
from cloud_builder.model.topics import STATE
from cloud_builder.ports.broker import Consumer, Partition, Record


class Word(NamedTuple):
    """A leader saying that it leads."""

    id: str
    epoch: int


class Reigns:
    """`words` in the order of the topic. `steps_back`: where a packet had read less than one before it, so that its
    writer did not go on where the others had stopped."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._broker = KafkaBroker(settings)
        self._consumer: Consumer | None = None
        self._read: dict[str, int] = {}
        self.words: list[Word] = []
        self.steps_back: list[str] = []

    @property
    def leader(self) -> Word | None:
        return self.words[-1] if self.words else None

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
        assert isinstance(put.body, Dumped)
        said = json.loads(put.body.json)
        if collection == LEADER:
            self.words.append(Word(said["id"], said["epoch"]))
        else:
            self._compare(said, record.partition, record.offset)

    def _compare(self, read: dict[str, int], partition: Partition, offset: int) -> None:
        for place, position in read.items():
            if position < self._read.get(place, 0):
                back = f"{place} went back from {self._read[place]} to {position}"
                self.steps_back.append(f"{partition.topic}@{offset}: {back}")
        self._read |= read
