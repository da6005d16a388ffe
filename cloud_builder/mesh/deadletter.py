"""Messages that a daemon could not read or handle: kept whole on cb.dead-letter, listed, shown and sent again.

In goes a record and the reason, out goes `message.dead`. A message on cb.dead-letter itself is never made one.
"""

from __future__ import annotations

import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from uuid import UUID, uuid5

from cloud_builder.errors import Rejected, Retryable
from cloud_builder.model.events import MessageDead
from cloud_builder.model.nearest import did_you_mean
from cloud_builder.model.topics import DEAD_LETTER
from cloud_builder.ports.broker import Broker, Outgoing, Record

from .codec import Undecodable, decode

_NAMESPACE = UUID("2f7a3c0e-9a44-4c39-8f0b-2c6a7d1f5e02")
_TIMEOUT = 10.0
_SLICE = 0.1
_MOST = 500


def dead(record: Record, error: Exception, *, daemon: str, incarnation: str, at: float) -> MessageDead:
    """The dead letter of a record. Its id is made from where the record lies, so that reading it again, or several
    daemons failing to decode it, gives one letter; a failing handler is a letter per daemon."""
    place = f"{incarnation}/{record.partition.topic}/{record.partition.number}/{record.offset}"
    whose = "" if isinstance(error, Undecodable) else daemon
    return MessageDead(
        dead_id="d-" + uuid5(_NAMESPACE, f"{place}/{whose}").hex[:10],
        daemon=daemon,
        topic=record.partition.topic,
        partition=record.partition.number,
        offset=record.offset,
        key=_text(record.key),
        value=_text(record.value),
        headers=tuple((name, b64encode(value).decode()) for name, value in record.headers),
        reason=str(error) if isinstance(error, Undecodable) else f"{type(error).__name__}: {error}",
        at=at,
    )


def list_dead(broker: Broker, *, timeout: float = _TIMEOUT) -> list[MessageDead]:
    """All dead letters the broker has, oldest first, each once. Retryable when the broker does not answer in time."""
    incarnation = broker.incarnation()
    letters: dict[str, MessageDead] = {}
    for record in _whole_topic(broker, timeout):
        _add(letters, record, incarnation)
    return list(letters.values())


def show(broker: Broker, dead_id: str) -> MessageDead:
    """One dead letter; Rejected with the nearest id when there is none of that name."""
    letters = {letter.dead_id: letter for letter in list_dead(broker)}
    if dead_id not in letters:
        raise Rejected(
            f"{dead_id}: no such dead letter", code="unknown-dead-letter", hint=did_you_mean(dead_id, letters)
        )
    return letters[dead_id]


def original(letter: MessageDead) -> Outgoing:
    """The message as it was, for the topic it was on."""
    return Outgoing(
        topic=letter.topic,
        key=_bytes(letter.key),
        value=_bytes(letter.value) or b"",
        headers=tuple((name, b64decode(value)) for name, value in letter.headers),
    )


def retry(broker: Broker, dead_id: str, *, timeout: float = _TIMEOUT) -> MessageDead:
    """Sends the original bytes to the original topic once more. Daemons that had handled it skip it by its id."""
    letter = show(broker, dead_id)
    producer = broker.producer()
    try:
        producer.send([original(letter)], timeout)
    finally:
        producer.close()
    return letter


def _whole_topic(broker: Broker, timeout: float) -> Iterator[Record]:
    marks = broker.watermarks([DEAD_LETTER.name])
    if all(oldest == end for oldest, end in marks.values()):
        return
    consumer = broker.consumer({place: oldest for place, (oldest, _) in marks.items()})
    deadline = time.monotonic() + timeout
    try:
        while not consumer.is_at_end():
            if time.monotonic() > deadline:
                raise Retryable(f"{DEAD_LETTER.name}: not read within {timeout:.0f} s", code="broker-unreachable")
            yield from consumer.poll(_MOST, _SLICE)
    finally:
        consumer.close()


def _add(letters: dict[str, MessageDead], record: Record, incarnation: str) -> None:
    try:
        payload = decode(record, incarnation).payload
    except Undecodable:
        return
    if isinstance(payload, MessageDead):
        letters.setdefault(payload.dead_id, payload)


def _text(value: bytes | None) -> str | None:
    return None if value is None else b64encode(value).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)
