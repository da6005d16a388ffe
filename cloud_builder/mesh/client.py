"""The mesh as a program on the outside sees it: send an event, ask cb-info a question.

For cb-ctl and tests. Has no state and belongs to no daemon.
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
_SLICE = 0.1


class Client:
    """`name` tells who is asking (ce_source). The broker belongs to the caller. Not thread-safe."""

    def __init__(self, broker: Broker, name: str = "cb-ctl") -> None:
        self._broker = broker
        self._name = name
        self._producer: Producer | None = None
        self._answers: Consumer | None = None

    def send(self, payload: Payload, *, timeout: float = _SEND_TIMEOUT) -> None:
        """Returns when the broker has the event; Retryable when it has not in time."""
        self._producer = self._producer or self._broker.producer()
        record = encode(payload, source=self._name, id=str(uuid4()), time=time.time())
        self._producer.send([record], timeout)

    def ask(self, what: str, args: dict[str, Any] | None = None, timeout: float = 5.0) -> InfoAnswered:
        """The answer of cb-info, which may be an error of its own (`code`). Retryable(code="no-answer") after
        `timeout` seconds."""
        self._answers = self._answers or self._from_now_on([ANSWER])
        query = QueryId("q-" + b32encode(os.urandom(10)).decode().lower())
        until = time.monotonic() + timeout
        self.send(InfoAsked(query_id=query, what=what, args=args or {}), timeout=timeout)
        while (left := until - time.monotonic()) > 0:
            for record in self._answers.poll(100, min(_SLICE, left)):
                if record.key == query.encode() and (answer := _answer(record)):
                    return answer
        raise Retryable(
            f"{what}: no answer from cb-info within {timeout:g} s",
            code="no-answer",
            hint="Is cb-info running, and on the same broker? See `cb-ctl up`.",
        )

    def hear(self, payload: Payload, key: str, topics: Sequence[Topic], timeout: float) -> Iterator[Payload]:
        """Sends, and yields what is told about `key` on these topics from then on; ends after `timeout` seconds."""
        until = time.monotonic() + timeout
        heard = self._from_now_on(topics)
        try:
            self.send(payload, timeout=timeout)
            while (left := until - time.monotonic()) > 0:
                for record in heard.poll(1000, min(_SLICE, left)):
                    if record.key == key.encode() and (told := _payload(record)) is not None:
                        yield told
        finally:
            heard.close()

    def close(self) -> None:
        """Ends the connections; the broker stays."""
        for connection in (self._answers, self._producer):
            if connection is not None:
                connection.close()
        self._answers = self._producer = None

    def _from_now_on(self, topics: Sequence[Topic]) -> Consumer:
        self._broker.ensure_topics(topics)
        marks = self._broker.watermarks([topic.name for topic in topics])
        return self._broker.consumer({place: end for place, (_, end) in marks.items()})


def _answer(record: Record) -> InfoAnswered | None:
    payload = _payload(record)
    return payload if isinstance(payload, InfoAnswered) else None


def _payload(record: Record) -> Payload | None:
    try:
        return decode(record, "").payload
    except Undecodable:
        return None
