"""Bad input on a running mesh: each message is answered or kept as a dead letter, and the mesh goes on as before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from confluent_kafka import Producer

from support.ctl_mesh import Account, CtlMesh, ExampleSource
from support.waiting import LIMIT

KB, MB = 1000, 1_000_000
LARGEST = 3 * MB
"""Our topics take 8 MiB, and the embedded broker forgets what is in a partition beyond 5 MiB."""


class Hostile:
    """A client with the right to write to cb.request, which uses no code of the product."""

    def __init__(self, bootstrap: str) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "message.max.bytes": 20 * MB, "linger.ms": 0})

    def send(self, value: bytes, **headers: str) -> str | None:
        """None, or why the broker did not take it."""
        errors: list[str | None] = []
        self._producer.produce(
            "cb.request",
            value,
            headers=[(name, text.encode()) for name, text in headers.items()],
            on_delivery=lambda error, _: errors.append(error.str() if error else None),
        )
        self._producer.flush(LIMIT)
        return errors[0] if errors else "no answer"


EVENT = {"ce_specversion": "1.0", "ce_id": "x", "ce_source": "hostile"}
UNREADABLE = (
    (b"\xff\xfe\x00", {}),
    (b"[" * 10_000, {}),
    (b'{"source": 1, "units": {}, "all": "x", "request_id": "types"}', {}),
    (b'{"source": "example", "source": "other", "all": true, "request_id": "twice"}', {}),
    (b'{"source": "example", "all": true, "x": NaN, "request_id": "nan"}', {}),
    (b'{"source": "example", "all": true, "request_id": "../\\u001b[2J"}', {}),
    (json.dumps({"source": "example", "all": True, "requester": "x" * MB, "request_id": "who"}).encode(), {}),
    (b"{}", {**EVENT, "ce_type": "build.requested", "ce_dataschema": "schemas/events/build.requested-99.json"}),
    (b"{}", {**EVENT, "ce_type": "job.finished"}),
    (b"{}", {**EVENT, "ce_type": "\x1b]0;title\x07"}),
    (b"x" * LARGEST, {}),
)
REJECTED = {
    "nobody": ({"source": "a\0b\x1b[31m", "all": True}, "no source"),
    "many": ({"source": "example", "units": [f"packages/u{n}" for n in range(10_000)]}, "no unit"),
    "climbs": ({"source": "example", "units": ["../../etc/passwd"]}, "no unit"),
    "ref": ({"source": "example", "all": True, "ref": "--upload-pack=id"}, "no branch, tag or commit"),
    "target": ({"source": "example", "all": True, "targets": ["\x1b[2J"]}, "no unit has a target"),
}


@pytest.fixture(scope="module", params=["embedded", "kafka"])
def mesh(request, own_cache, own_home):
    broker = request.getfixturevalue("kafka").bootstrap if request.param == "kafka" else "embedded"
    source = ExampleSource(own_home / f"source-{request.param}", Account())
    mesh = CtlMesh(own_home / request.param, own_cache, broker=broker)
    mesh.up(example=source.path)
    try:
        mesh.until(lambda: mesh.rows("units"), "the units are known")
        yield mesh
    finally:
        mesh.down()


def resident(mesh: CtlMesh, daemon: str) -> int:
    """KiB of memory."""
    status = Path(f"/proc/{mesh.pid(daemon)}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def test_bad_messages_are_kept_and_answered_and_the_mesh_goes_on(mesh):
    pids = {name: mesh.pid(name) for name in ("request", "scheduler", "info")}
    hostile = Hostile(mesh.bootstrap)
    sent = [hostile.send(value, **headers) for value, headers in UNREADABLE]
    assert sent == [None] * len(UNREADABLE)
    for name, (body, _) in REJECTED.items():
        assert hostile.send(json.dumps({**body, "request_id": name}).encode()) is None

    for name, (_, errors) in REJECTED.items():
        answer = mesh.until(lambda name=name: _ended(mesh, name), f"{name} is answered")
        assert answer["outcome"] == "rejected"
        assert errors in answer["message"]
    for name in ("types", "twice", "nan", "who"):
        answer = mesh.until(lambda name=name: _ended(mesh, name), f"{name} is answered")
        assert (answer["outcome"], answer["code"]) == ("rejected", "malformed")
    letters = mesh.until(lambda: _letters(mesh, len(UNREADABLE)), "all are kept")
    assert all(letter["reason"] for letter in letters)
    assert {name: mesh.pid(name) for name in pids} == pids


def _ended(mesh: CtlMesh, request: str):
    found = mesh.ctl("status", request, "--json")
    if found.status:
        return None
    body = found.json.get("request", found.json)
    return body if body.get("outcome") else None


def _letters(mesh: CtlMesh, number: int):
    found = mesh.ok("dead-letter", "list", "--json").json
    return found if len(found) >= number else None


def test_nothing_that_was_sent_reaches_a_terminal_as_an_order(mesh):
    for words in (("dead-letter", "list"), ("status",), ("list", "requests"), ("status", "nobody")):
        shown = mesh.ctl(*words)
        assert "\x1b" not in shown.out + shown.err
        assert "\0" not in shown.out + shown.err


def test_a_large_dead_letter_is_listed_shown_and_retried(mesh):
    letter = next(letter for letter in mesh.ok("dead-letter", "list", "--json").json if letter["whole_size"] == LARGEST)
    shown = mesh.ok("dead-letter", "show", letter["dead_id"])
    assert f"the beginning of the {LARGEST} bytes" in shown.err
    assert len(shown.out) < 20 * KB
    known = len(mesh.ok("dead-letter", "list", "--json").json)
    mesh.ok("dead-letter", "retry", letter["dead_id"])
    mesh.until(lambda: len(mesh.ok("dead-letter", "list", "--json").json) > known, "it is dead again")


def test_too_large_message_is_refused_by_the_broker(mesh):
    errors = Hostile(mesh.bootstrap).send(b"x" * 10 * MB)
    assert "too large" in str(errors) or "embedded" in str(mesh.home)
    assert mesh.ctl("status", "--json").status == 0


def test_memory_does_not_grow_with_bad_messages(mesh):
    hostile = Hostile(mesh.bootstrap)

    def storm(name: str) -> dict[str, int]:
        for number in range(200):
            hostile.send(b'{"source": "' + b"x" * 20 * KB + b'", "all": true, "n": %d}' % number)
        assert hostile.send(json.dumps({"source": "nobody", "all": True, "request_id": name}).encode()) is None
        mesh.until(lambda: _ended(mesh, name), "the last is answered")
        return {daemon: resident(mesh, daemon) for daemon in ("request", "scheduler", "info")}

    most = [max(storm(f"storm-{number}").values()) for number in range(3)]
    assert most[-1] < 180_000, most


def test_a_good_request_is_still_accepted(mesh):
    answer = mesh.ok("request", "packages/libgreet", "--json").json
    assert answer["request_id"]
    mesh.ok("cancel", answer["request_id"])
