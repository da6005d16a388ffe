"""The mesh as a program on the outside sees it: send an event, ask cb-info a question.

For cb-ctl and tests. Has no state and belongs to no daemon.
"""

from __future__ import annotations

import os
import time
from base64 import b32encode
from typing import Any
from uuid import uuid4

from cloud_builder.errors import Retryable
from cloud_builder.model.events import InfoAnswered, InfoAsked, Payload
from cloud_builder.model.ids import QueryId
from cloud_builder.model.topics import ANSWER
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
        self._answers = self._answers or self._at_the_end()
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

    def close(self) -> None:
        """Ends the connections; the broker stays."""
        for connection in (self._answers, self._producer):
            if connection is not None:
                connection.close()
        self._answers = self._producer = None

    def _at_the_end(self) -> Consumer:
        self._broker.ensure_topics([ANSWER])
        marks = self._broker.watermarks([ANSWER.name])
        return self._broker.consumer({place: end for place, (_, end) in marks.items()})


def _answer(record: Record) -> InfoAnswered | None:
    try:
        payload = decode(record, "").payload
    except Undecodable:
        return None
    return payload if isinstance(payload, InfoAnswered) else None
