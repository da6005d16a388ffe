"""Malformed messages of clients: each is rejected with field and cause, and later messages are handled."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from threading import Event

import pytest

from cloud_builder.adapters.memory.broker import MemoryBroker
from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.errors import Rejected
from cloud_builder.flow.request import malformed
from cloud_builder.mesh.codec import Undecodable, decode, encode
from cloud_builder.mesh.deadletter import list_dead, retry
from cloud_builder.mesh.loop import Loop
from cloud_builder.model.events import BuildRequested, MessageDead, RequestRejected
from cloud_builder.model.role import Role
from cloud_builder.ports.broker import OutgoingRecord, Partition, Record

MB = 1_000_000
REQUESTS = Partition("cb.request", 0)


def headers(kind: str = "build.requested", version: str = "1", **more: bytes) -> tuple[tuple[str, bytes], ...]:
    named = {"ce_specversion": b"1.0", "ce_id": b"e", "ce_type": kind.encode(), "ce_source": b"ci"}
    named |= {"ce_dataschema": f"schemas/events/{kind}-{version}.json".encode(), **more}
    return tuple(named.items())


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


BAD = {
    "10 MB of units": (b'{"source":"s","units":["' + b"u" * (10 * MB) + b'"]}', (), "units.0: String should have at"),
    "10 MB that are no JSON": (b"x" * (10 * MB), (), "not valid JSON"),
    "invalid UTF-8": (b'{"source":"\xff","all":true}', (), "invalid unicode"),
    "JSON 10,000 deep": (b'{"source":"s","all":true,"x":' + deep(10_000) + b"}", (), "recursion limit"),
    "deep and not closed": (b'{"source":' * 10_000, (), "recursion limit"),
    "wrong types": (b'{"source":1,"units":{"a":1},"all":"x"}', (), "source: Input should be a valid string, not 1"),
    "not an object": (b"[1]", (), "should be an object"),
    "an empty message": (b"", (), "not valid JSON"),
    "unknown version": (b"{}", headers(version="99"), "version 99 is not known, only 1"),
    "version of 40 digits": (b"{}", headers(version="9" * 40), "is not known, only 1"),
    "version that is no number": (b"{}", headers(version="x"), "version x is not known"),
    "unknown event": (b"{}", headers("build.reqested"), "Did you mean build.requested?"),
    "a key twice": (b'{"source":"a","source":"b","all":true}', (), "the key 'source' is there more than once"),
    "NaN": (b'{"source":"a","all":true,"x":NaN}', (), "NaN is no JSON"),
    "Infinity": (b'{"source":"a","all":true,"x":-Infinity}', (), "Infinity is no JSON"),
    "huge number": (b'{"source":"a","all":' + b"9" * 5000 + b"}", (), "number out of range"),
    "null byte": (b'{"source":"a\x00b","all":true}', (), "control character"),
    "half a surrogate pair": (b'{"source":"\\ud800","all":true}', (), "not valid JSON"),
    "100,000 unknown keys": (json.dumps({f"sourc{n}": 1 for n in range(100_000)}).encode(), (), "source: missing"),
    "requester of 1 MB": (json.dumps({"source": "s", "all": True, "requester": "x" * MB}).encode(), (), "requester"),
    "20,001 units": (json.dumps({"source": "s", "units": ["u"] * 20_001}).encode(), (), "at most 20000"),
    "request id with an escape sequence": (
        b'{"source":"s","all":true,"request_id":"../\\u001b[31m"}',
        (),
        "request_id: String should",
    ),
    "request id with a line end": (b'{"source":"s","all":true,"request_id":"a\\n"}', (), "request_id: String should"),
    "header of 900 KB": (b"{}", headers(ce_id=b"x" * 900_000), "header ce_id: 900000 bytes, 1000 are allowed"),
}


@pytest.mark.parametrize(("value", "head", "reason"), BAD.values(), ids=BAD)
def test_bad_message_is_rejected_quickly_with_a_short_reply(value, head, reason):
    started = time.thread_time()
    with pytest.raises(Undecodable) as caught:
        decode(Record(REQUESTS, 7, None, value, head, 1.0), "incarnation")
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable() or "\n" in str(caught.value)
    reply = malformed.rejection(value, caught.value.message, 1.0)
    assert len(encode(reply, source="s", id="i", time=1.0).value) < 10_000
    assert reply.request_id.isprintable()
    assert time.thread_time() - started < 10, "CPU seconds of this thread; other programs do not count"


def test_event_with_names_that_are_not_utf8_is_sent_with_escapes():
    event = RequestRejected(request_id="r", code="c", message="no file caf\udce9", rejected_at=1.0)
    sent = encode(event, source="s", id="i", time=1.0)
    record = Record(Partition("cb.intake", 0), 0, sent.key, sent.value, sent.headers)
    assert decode(record, "").payload.message == "no file caf\\udce9"


class RecordingFlow:
    """Records the payloads that it is given, and does nothing else."""

    role, instance = Role.REQUEST, ""

    def __init__(self) -> None:
        self.payloads: list[object] = []

    def restore(self, state) -> None: ...

    def republish(self, work) -> None: ...

    def handle(self, event, work) -> None:
        self.payloads.append(event.payload)

    def tick(self, work) -> None: ...

    def max_wait(self) -> float:
        return 0.0

    def stop(self, work) -> None: ...


def read_by(flow, broker: MemoryBroker) -> None:
    state = MemoryState()
    loop = Loop(flow, broker, state)
    assert loop.start(Event())
    for _ in range(3):
        loop.step(Event())
    loop.finish()
    state.close()


@pytest.mark.parametrize("size", [100, 300_000, 10 * MB])
@pytest.mark.parametrize("where", ["value", "key", "header"])
def test_dead_letter_is_small_and_retry_sends_the_whole_message(size, where):
    broker = MemoryBroker()
    big = b"\xff" * size
    sent = OutgoingRecord(
        "cb.request",
        key=big if where == "key" else b"k",
        value=big if where == "value" else b"{",
        headers=(("x", big if where == "header" else b"h"),),
    )
    broker.producer().send([sent], 1.0)
    read_by(RecordingFlow(), broker)

    (letter,) = list_dead(broker)
    assert len(letter.model_dump_json()) < 900_000
    assert (letter.whole_size is not None) == (size > (300_000 if where == "value" else 4096))
    assert big.startswith(b64decode(letter.value or "")) or where != "value"
    retry(broker, letter.dead_id)
    again = broker.logs[REQUESTS][-1]
    assert (again.key, again.value, again.headers) == (sent.key, sent.value, sent.headers)


def test_retry_is_rejected_when_a_large_message_left_its_topic():
    broker = MemoryBroker()
    broker.producer().send([OutgoingRecord("cb.request", key=None, value=b"\xff" * MB)], 1.0)
    read_by(RecordingFlow(), broker)
    (letter,) = list_dead(broker)
    broker.logs[REQUESTS].clear()
    with pytest.raises(Rejected, match=r"of 1000000 bytes was too large for a dead letter, and cb.request/0 no longer"):
        retry(broker, letter.dead_id, timeout=0.3)


def test_message_after_bad_ones_is_handled():
    broker = MemoryBroker()
    good = encode(BuildRequested(source="s", all=True, request_id="good"), source="ci", id="e-1", time=1.0)
    bad = [OutgoingRecord("cb.request", key=None, value=value, headers=head) for value, head, _ in BAD.values()]
    broker.producer().send([*bad, good], 1.0)
    flow = RecordingFlow()
    read_by(flow, broker)

    assert [event.request_id for event in flow.payloads] == ["good"]
    letters = list_dead(broker)
    assert len(letters) == len(bad)
    assert all(isinstance(letter, MessageDead) and letter.reason for letter in letters)
