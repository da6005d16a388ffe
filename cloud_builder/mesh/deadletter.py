"""Dead letters: messages that a daemon could not decode or handle. Stored on cb.dead-letter, listed, sent again.

Input: a record and the reason. Output: `message.dead`, which fits into a message of any broker. Of a large record it
has only the beginning; the whole is read from the record's topic. A message on cb.dead-letter itself never becomes a
dead letter (the processor sees to that).
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
from cloud_builder.ports.broker import Broker, OutgoingRecord, Partition, Record

from .codec import Undecodable, decode

_NAMESPACE = UUID("2f7a3c0e-9a44-4c39-8f0b-2c6a7d1f5e02")
_TIMEOUT = 10.0
_POLL_TIMEOUT = 0.1
_MAX_RECORDS = 500
_MAX_VALUE_BYTES = 384 * 1024
"""Bytes of a value in a dead letter: with base64 (4/3) well below 1 MiB, which Kafka accepts by default."""
_MAX_KEY_BYTES = 4 * 1024
_MAX_HEADERS_BYTES = 64 * 1024
_MAX_REASON = 2000


def dead_letter(record: Record, error: Exception, *, daemon: str, incarnation: str, at: float) -> MessageDead:
    """Returns the dead letter of a record.

    Its id is made from the record's partition and offset. Reading the record again, or several daemons that cannot
    decode it, thus give one dead letter. A handler that fails gives one dead letter for each daemon."""
    origin = f"{incarnation}/{record.partition.topic}/{record.partition.number}/{record.offset}"
    handler = "" if isinstance(error, Undecodable) else daemon
    return MessageDead(
        dead_id="d-" + uuid5(_NAMESPACE, f"{origin}/{handler}").hex[:10],
        daemon=daemon,
        topic=record.partition.topic,
        partition=record.partition.number,
        offset=record.offset,
        key=_text(record.key, _MAX_KEY_BYTES),
        value=_text(record.value, _MAX_VALUE_BYTES),
        headers=_kept_headers(record),
        whole_size=size if (size := _size(record)) > _kept_size(record) else None,
        reason=_short(str(error) if isinstance(error, Undecodable) else f"{type(error).__name__}: {error}"),
        at=at,
    )


def _size(record: Record) -> int:
    headers = sum(len(name.encode(errors="replace")) + len(value) for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def _kept_size(record: Record) -> int:
    headers = _size(Record(record.partition, record.offset, None, None, record.headers))
    return (
        min(len(record.key or b""), _MAX_KEY_BYTES)
        + min(len(record.value or b""), _MAX_VALUE_BYTES)
        + (headers if headers <= _MAX_HEADERS_BYTES else 0)
    )


def _kept_headers(record: Record) -> tuple[tuple[str, str], ...]:
    """Returns all headers, or none if they are too large: with only some of them it would be another message."""
    if _size(Record(record.partition, record.offset, None, None, record.headers)) > _MAX_HEADERS_BYTES:
        return ()
    return tuple((name, b64encode(value).decode()) for name, value in record.headers)


def _short(reason: str) -> str:
    return reason if len(reason) <= _MAX_REASON else f"{reason[:_MAX_REASON]}… ({len(reason)} characters)"


def list_dead(broker: Broker, *, timeout: float = _TIMEOUT) -> list[MessageDead]:
    """Returns all dead letters on the broker, oldest first, each once. Retryable: the broker did not answer in time."""
    incarnation = broker.incarnation()
    letters: dict[str, MessageDead] = {}
    for record in _whole_topic(broker, timeout):
        _add(letters, record, incarnation)
    return list(letters.values())


def show(broker: Broker, dead_id: str) -> MessageDead:
    """Returns one dead letter; raises Rejected with the nearest id if there is none of that id."""
    letters = {letter.dead_id: letter for letter in list_dead(broker)}
    if dead_id not in letters:
        raise Rejected(
            f"{dead_id}: no such dead letter", code="unknown-dead-letter", hint=did_you_mean(dead_id, letters)
        )
    return letters[dead_id]


def original(broker: Broker, letter: MessageDead, *, timeout: float = _TIMEOUT) -> OutgoingRecord:
    """Returns the original message, for the topic that it was on.

    The original of a shortened dead letter is read from its topic; raises Rejected if the topic no longer has it."""
    if letter.whole_size is not None:
        record = _fetch_original(broker, letter, timeout)
        return OutgoingRecord(letter.topic, record.key, record.value or b"", record.headers)
    return OutgoingRecord(
        topic=letter.topic,
        key=_bytes(letter.key),
        value=_bytes(letter.value) or b"",
        headers=tuple((name, b64decode(value)) for name, value in letter.headers),
    )


def retry(broker: Broker, dead_id: str, *, timeout: float = _TIMEOUT) -> MessageDead:
    """Sends the original bytes to the original topic again. Daemons that have handled the event skip it by its id."""
    letter = show(broker, dead_id)
    producer = broker.producer()
    try:
        producer.send([original(broker, letter, timeout=timeout)], timeout)
    finally:
        producer.close()
    return letter


def _fetch_original(broker: Broker, letter: MessageDead, timeout: float) -> Record:
    consumer = broker.consumer({Partition(letter.topic, letter.partition): letter.offset})
    until = time.monotonic() + timeout
    try:
        while (left := until - time.monotonic()) > 0:
            found = consumer.poll(1, min(_POLL_TIMEOUT, left))
            if found and found[0].offset == letter.offset and _size(found[0]) == letter.whole_size:
                return found[0]
            if found or consumer.is_at_end():
                break
    finally:
        consumer.close()
    raise Rejected(
        f"{letter.dead_id}: its message of {letter.whole_size} bytes was too large for a dead letter, and "
        f"{letter.topic}/{letter.partition} no longer has it at {letter.offset}",
        code="dead-letter-cut",
        hint="Ask its sender to send it again. Its beginning: cb-ctl dead-letter show",
    )


def _whole_topic(broker: Broker, timeout: float) -> Iterator[Record]:
    marks = broker.watermarks([DEAD_LETTER.name])
    if all(oldest == end for oldest, end in marks.values()):
        return
    consumer = broker.consumer({partition: oldest for partition, (oldest, _) in marks.items()})
    deadline = time.monotonic() + timeout
    try:
        while not consumer.is_at_end():
            if time.monotonic() > deadline:
                raise Retryable(f"{DEAD_LETTER.name}: not read within {timeout:.0f} s", code="broker-unreachable")
            yield from consumer.poll(_MAX_RECORDS, _POLL_TIMEOUT)
    finally:
        consumer.close()


def _add(letters: dict[str, MessageDead], record: Record, incarnation: str) -> None:
    try:
        payload = decode(record, incarnation).payload
    except Undecodable:
        return
    if isinstance(payload, MessageDead):
        letters.setdefault(payload.dead_id, payload)


def _text(value: bytes | None, most: int) -> str | None:
    return None if value is None else b64encode(value[:most]).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)
