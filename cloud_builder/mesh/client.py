"""A client of the mesh outside of the daemons: sends events, and queries cb-info. For cb-ctl and tests.

Must not: have state.
"""

from __future__ import annotations

import os
import time
from base64 import b32encode
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

from cloud_builder.errors import Retryable
from cloud_builder.model.events import InfoAnswered, InfoAsked, Payload
from cloud_builder.model.ids import QueryId
from cloud_builder.model.topics import ANSWER, Topic
from cloud_builder.ports.broker import Broker, Consumer, Producer, Record

from .codec import Undecodable, decode, encode

_SEND_TIMEOUT = 10.0
_POLL_TIMEOUT = 0.1


class Client:
    """A client. `name`: the sender of its events (ce_source). The broker belongs to the caller. Not thread-safe."""

    def __init__(self, broker: Broker, name: str = "cb-ctl") -> None:
        self._broker = broker
        self._name = name
        self._producer: Producer | None = None
        self._answers: Consumer | None = None

    def send(self, payload: Payload, *, timeout: float = _SEND_TIMEOUT) -> None:
        """Returns when the broker has the event; raises Retryable if it has not within `timeout` seconds."""
        self._producer = self._producer or self._broker.producer()
        record = encode(payload, source=self._name, id=str(uuid4()), time=time.time())
        self._producer.send([record], timeout)

    def query(self, what: str, args: dict[str, Any] | None = None, timeout: float = 5.0) -> InfoAnswered:
        """Returns the answer of cb-info to a query, which may be an error (`code`).

        Raises Retryable(code="no-answer") after `timeout` seconds."""
        self._answers = self._answers or self._consume_from_end([ANSWER])
        query = QueryId("q-" + b32encode(os.urandom(10)).decode().lower())
        until = time.monotonic() + timeout
        self.send(InfoAsked(query_id=query, what=what, args=args or {}), timeout=timeout)
        while (left := until - time.monotonic()) > 0:
            for record in self._answers.poll(100, min(_POLL_TIMEOUT, left)):
                if record.key == query.encode() and (answer := _answer(record)):
                    return answer
        raise Retryable(
            f"{what}: no answer from cb-info within {timeout:g} s",
            code="no-answer",
            hint="Is cb-info running, and on the same broker? See `cb-ctl up`.",
        )

    def follow(self, payload: Payload, key: str, topics: Sequence[Topic], timeout: float) -> Iterator[Payload]:
        """Sends an event, and yields the later events with `key` on these topics. Ends after `timeout` seconds."""
        until = time.monotonic() + timeout
        consumer = self._consume_from_end(topics)
        try:
            self.send(payload, timeout=timeout)
            while (left := until - time.monotonic()) > 0:
                for record in consumer.poll(1000, min(_POLL_TIMEOUT, left)):
                    if record.key == key.encode() and (found := _payload(record)) is not None:
                        yield found
        finally:
            consumer.close()

    def close(self) -> None:
        """Closes the connections, but not the broker."""
        for connection in (self._answers, self._producer):
            if connection is not None:
                connection.close()
        self._answers = self._producer = None

    def _consume_from_end(self, topics: Sequence[Topic]) -> Consumer:
        self._broker.ensure_topics(topics)
        marks = self._broker.watermarks([topic.name for topic in topics])
        return self._broker.consumer({partition: end for partition, (_, end) in marks.items()})


def _answer(record: Record) -> InfoAnswered | None:
    payload = _payload(record)
    return payload if isinstance(payload, InfoAnswered) else None


def _payload(record: Record) -> Payload | None:
    try:
        return decode(record, "").payload
    except Undecodable:
        return None
