"""Encodes and decodes events: CloudEvents 1.0, Kafka binding, binary mode, JSON body.

A record without any `ce_` header is decoded as the topic's bare event (model.topics.BARE_EVENT), so that a CI job can
send plain JSON. Its id is made from the record's partition and offset, so that reading it again gives the same event.

Decoding has two steps, because most records of a topic may not be for the reader: `head_of` decodes the headers,
`body_of` the JSON.

Source of the header names: https://github.com/cloudevents/spec (kafka-protocol-binding, 3.2).
"""

from __future__ import annotations

import json
import re
from base64 import b32encode
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import NamedTuple
from uuid import UUID, uuid5

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from cloud_builder.model.events import BuildRequested, Payload
from cloud_builder.model.ids import EventId, RequestId
from cloud_builder.model.nearest import did_you_mean
from cloud_builder.model.text import utf8
from cloud_builder.model.topics import BARE_EVENT, ROUTES, Route, route_of
from cloud_builder.ports.broker import OutgoingRecord, Record

from .decode_errors import Undecodable, from_validation_error, refuse_ambiguous

__all__ = ["Envelope", "Head", "Undecodable", "body_of", "decode", "encode", "head_of"]

_NAMESPACE = UUID("6f2b7a52-5d0e-4f53-9d0c-6b1a3b0f1c11")
_SPECVERSION = "1.0"
_PREFIX = "ce_"
_OWN_HEADERS = frozenset(
    {"ce_specversion", "ce_type", "ce_dataschema", "ce_id", "ce_source", "ce_time", "content-type", "traceparent"}
)
_SCHEMA_VERSION = re.compile(r"-([^-/]*)\.json$")
_MAX_HEADER_BYTES = 1000
"""Bytes. The limit keeps the state small, which has the id of each seen event."""


class Envelope(NamedTuple):
    """An event with the metadata of its record. `time`: seconds since the epoch; `source`: the sender."""

    id: EventId
    type: str
    version: int
    source: str
    time: float
    key: str
    traceparent: str | None
    payload: Payload


class Head(NamedTuple):
    """The decoded headers of a record. `event`: the class of its body."""

    id: EventId
    event: type[Payload]
    source: str
    time: float
    traceparent: str | None


def encode(payload: Payload, *, source: str, id: str, time: float, traceparent: str | None = None) -> OutgoingRecord:
    """Returns the record of an event, with the topic and the key that the topic table names."""
    route, constant = _route_headers(type(payload))
    headers = (*constant, *_time_and_source(source, time), ("ce_id", id.encode()))
    if traceparent is not None:
        headers = (*headers, ("traceparent", traceparent.encode()))
    key = getattr(payload, route.key)
    return OutgoingRecord(
        route.topic_of(payload) if route.member else route.topic.name,
        None if key is None else str(key).encode(),
        _json(payload),
        headers,
    )


def decode(record: Record, incarnation: str) -> Envelope:
    """Returns the event of a record; raises Undecodable with the field and the cause."""
    return body_of(record, head_of(record, incarnation))


def head_of(record: Record, incarnation: str) -> Head:
    """Decodes the headers alone. `incarnation`: the broker's; the same offset in another one is another message."""
    return _usual_head(record) or _any_head(record, incarnation)


def _usual_head(record: Record) -> Head | None:
    """Decodes the headers of a record as `encode` writes them; None: `_any_head` has to decode them."""
    raw = dict(record.headers)
    if sum(map(len, raw.values())) > _MAX_HEADER_BYTES:
        return None
    event = _known_event(
        record.partition.topic, raw.get("ce_type"), raw.get("ce_dataschema"), raw.get("ce_specversion")
    )
    id, source, time = raw.get("ce_id"), raw.get("ce_source"), raw.get("ce_time")
    if (
        event is None
        or not id
        or not source
        or not time
        or len(raw) < len(record.headers)
        or not raw.keys() <= _OWN_HEADERS
    ):
        return None
    try:
        trace = raw["traceparent"].decode() if "traceparent" in raw else None
        return Head(EventId(id.decode()), event, source.decode(), _time(time.decode()), trace)
    except UnicodeDecodeError:
        return None


@lru_cache(maxsize=256)
def _known_event(topic: str, wire_type: bytes | None, schema: bytes | None, spec: bytes | None) -> type[Payload] | None:
    """Returns the event class; None: a header is wrong or unusual, and `_any_head` has to decode it."""
    if wire_type is None or schema is None or spec != _SPECVERSION.encode():
        return None
    try:
        return _event(topic, wire_type.decode(), schema.decode())
    except (Undecodable, UnicodeDecodeError):
        return None


def _any_head(record: Record, incarnation: str) -> Head:
    headers = _text_headers(record)
    if not any(name.startswith(_PREFIX) for name in headers):
        return _bare(record, headers, incarnation)
    if (spec := _required(headers, "ce_specversion")) != _SPECVERSION:
        raise Undecodable(f"header ce_specversion: {spec!r} is not known, only {_SPECVERSION}")
    return Head(
        id=EventId(_required(headers, "ce_id")),
        event=_event(record.partition.topic, _required(headers, "ce_type"), headers.get("ce_dataschema", "")),
        source=_required(headers, "ce_source"),
        time=_time(headers["ce_time"]) if "ce_time" in headers else record.timestamp,
        traceparent=headers.get("traceparent"),
    )


def body_of(record: Record, head: Head) -> Envelope:
    """Decodes the body of a record whose headers are decoded; raises Undecodable."""
    if record.value is None:
        raise Undecodable(f"{head.event.type}: the message has no body")
    try:
        if _is_written_by_hand(record):
            refuse_ambiguous(head.event, record.value)
        payload = head.event.model_validate_json(record.value)
    except ValidationError as error:
        raise from_validation_error(error, head.event, record.value) from None
    except RecursionError:
        raise Undecodable(f"{head.event.type}: the JSON is nested too deeply") from None
    if isinstance(payload, BuildRequested) and payload.request_id is None:
        payload = payload.model_copy(update={"request_id": _request_id(head.id)})
    return Envelope(
        id=head.id,
        type=head.event.type,
        version=head.event.version,
        source=head.source,
        time=head.time,
        key=(record.key or b"").decode(errors="replace"),
        traceparent=head.traceparent,
        payload=payload,
    )


def _json(payload: Payload) -> bytes | None:
    """Returns the body. A lone surrogate (of a file name that is not UTF-8) cannot be encoded: its escape is sent."""
    try:
        return payload.wire()
    except PydanticSerializationError:
        return json.dumps(_utf8(payload.model_dump()), ensure_ascii=False, default=str).encode()


def _utf8(value: object) -> object:
    match value:
        case str():
            return utf8(value)
        case dict():
            return {_utf8(key): _utf8(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_utf8(inner) for inner in value]
    return value


def _is_written_by_hand(record: Record) -> bool:
    """Returns True for topics that people and scripts write to: ambiguous JSON there is a mistake to report."""
    return record.partition.topic in BARE_EVENT


@cache
def _route_headers(event: type[Payload]) -> tuple[Route, tuple[tuple[str, bytes], ...]]:
    """Returns the route of an event class, and the headers that all its records have."""
    route = route_of(event.type)
    if route is None:
        raise ValueError(f"{event.__name__} is not in the topic table")
    return route, (
        ("ce_specversion", _SPECVERSION.encode()),
        ("ce_type", event.type.encode()),
        ("ce_dataschema", f"schemas/events/{event.type}-{event.version}.json".encode()),
        ("content-type", b"application/json"),
    )


@lru_cache(maxsize=8)
def _time_and_source(source: str, time: float) -> tuple[tuple[str, bytes], ...]:
    """Returns the headers of sender and time, which are the same for all events of one transaction."""
    return (("ce_source", source.encode()), ("ce_time", _rfc3339(time).encode()))


def _rfc3339(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@lru_cache(maxsize=256)
def _time(text: str) -> float:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise Undecodable(f"header ce_time: {text!r} is not a time like 2026-01-31T12:00:00Z") from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _text_headers(record: Record) -> dict[str, str]:
    raw = dict(record.headers)
    if (
        raw.keys() <= _OWN_HEADERS
        and len(raw) == len(record.headers)
        and max(map(len, raw.values()), default=0) <= _MAX_HEADER_BYTES
    ):
        with suppress(UnicodeDecodeError):
            return {name: value.decode() for name, value in raw.items()}
    return _foreign_headers(record)


def _foreign_headers(record: Record) -> dict[str, str]:
    """Decodes the headers of other writers, which may have more headers, and names in upper case."""
    headers: dict[str, str] = {}
    for raw_name, value in record.headers:
        name = raw_name.lower()
        if name in headers and (name.startswith(_PREFIX) or name == "traceparent"):
            raise Undecodable(f"header {name}: more than once")
        if name.startswith(_PREFIX) and len(value) > _MAX_HEADER_BYTES:
            raise Undecodable(f"header {name[:100]}: {len(value)} bytes, {_MAX_HEADER_BYTES} are allowed")
        try:
            headers[name] = value.decode()
        except UnicodeDecodeError:
            if name.startswith(_PREFIX):
                raise Undecodable(f"header {name}: not UTF-8") from None
    return headers


def _required(headers: dict[str, str], name: str) -> str:
    if not headers.get(name):
        raise Undecodable(f"header {name}: missing", hint="CloudEvents 1.0 needs ce_specversion, _id, _type, _source.")
    return headers[name]


def _event(topic: str, wire_type: str, schema: str) -> type[Payload]:
    route = route_of(wire_type)
    if route is None:
        hint = did_you_mean(wire_type, (route.event.type for route in ROUTES))
        raise Undecodable(f"header ce_type: {wire_type!r} is not known", hint=hint)
    if not route.topic.has(topic):
        raise Undecodable(f"{wire_type} does not belong on {topic}, only on {route.topic.name}")
    found = _SCHEMA_VERSION.search(schema)
    if found and found[1] != str(route.event.version):
        hint = "Bring the reading daemon up to date, or write the version it knows."
        raise Undecodable(f"{wire_type}: version {found[1]} is not known, only {route.event.version}", hint=hint)
    return route.event


def _bare(record: Record, headers: dict[str, str], incarnation: str) -> Head:
    topic = record.partition.topic
    if headers.get("content-type", "").startswith("application/cloudevents"):
        raise Undecodable("structured CloudEvents are not read", hint="Send binary mode (ce_ headers), or plain JSON.")
    if topic not in BARE_EVENT:
        raise Undecodable(f"no ce_type header; without headers only {', '.join(BARE_EVENT)} is read")
    origin = f"{incarnation}/{topic}/{record.partition.number}/{record.offset}"
    return Head(
        id=EventId(str(uuid5(_NAMESPACE, origin))),
        event=BARE_EVENT[topic],
        source=topic,
        time=record.timestamp,
        traceparent=headers.get("traceparent"),
    )


def _request_id(event: EventId) -> RequestId:
    digest = uuid5(_NAMESPACE, f"request/{event}").bytes
    return RequestId("r-" + b32encode(digest)[:8].decode().lower())
