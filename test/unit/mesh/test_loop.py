"""The loop over a broker in memory, with a small flow that counts."""

from __future__ import annotations

import time
from base64 import b64decode
from threading import Event, Thread

import pytest

from cloud_builder.adapters.memory.broker import MemoryBroker
from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.adapters.sqlite.state import SqliteState
from cloud_builder.errors import NotAllowed, Permanent, Retryable
from cloud_builder.mesh.codec import decode, encode
from cloud_builder.mesh.deadletter import list_dead, retry
from cloud_builder.mesh.loop import Loop
from cloud_builder.model.events import BuildRequested, RequestRejected
from cloud_builder.model.role import Role
from cloud_builder.ports.broker import OutgoingRecord, Partition
from support.waiting import LIMIT, until

INTAKE = Partition("cb.intake", 0)


class CountingFlow:
    """Rejects each request, with the number of handled requests as the code. `before` may raise an error first."""

    role = Role.REQUEST
    instance = ""

    def __init__(self, before=lambda request: None):
        self.before = before
        self.handled = []
        self.calls = []
        self.count = 0

    def restore(self, state):
        self.calls.append("restore")
        self.count = (state.get("count", "requests") or {"value": 0})["value"]

    def republish(self, work):
        self.calls.append("republish")

    def handle(self, event, work):
        request = event.payload.request_id
        self.count += 1
        work.documents.put("count", "requests", {"value": self.count})
        self.before(request)
        self.handled.append(request)
        work.emit(RequestRejected(request_id=request, code=str(self.count), message="no", rejected_at=work.now))

    def tick(self, work):
        self.caught_up = work.caught_up
        self.calls.append("tick")

    def max_wait(self):
        return 0.0

    def stop(self, work):
        self.calls.append("stop")
        work.emit(RequestRejected(request_id="last", code="stop", message="bye", rejected_at=work.now))


@pytest.fixture
def broker():
    return MemoryBroker()


@pytest.fixture
def state():
    store = MemoryState()
    yield store
    store.close()


def requested(name: str) -> OutgoingRecord:
    payload = BuildRequested(source="s", all=True, request_id=name)
    return encode(payload, source="test", id=f"event-{name}", time=time.time())


def send(broker, *names: str) -> None:
    broker.producer().send([requested(name) for name in names], 1.0)


def answers(broker) -> list[tuple[str, str]]:
    events = [decode(record, "").payload for record in broker.logs.get(INTAKE, [])]
    return [(event.request_id, event.code) for event in events]


def started(flow, broker, state) -> Loop:
    loop = Loop(flow, broker, state)
    assert loop.start(Event())
    return loop


def steps(loop: Loop, number: int = 3) -> None:
    for _ in range(number):
        loop.step(Event())


def test_event_is_handled_once_and_answered(broker, state):
    flow = CountingFlow()
    send(broker, "a", "b")
    steps(started(flow, broker, state))

    assert flow.handled == ["a", "b"]
    assert answers(broker) == [("a", "1"), ("b", "2")]
    assert flow.caught_up


def test_repeated_event_is_handled_once(broker, state):
    flow = CountingFlow()
    send(broker, "a", "a")
    steps(started(flow, broker, state))

    assert answers(broker) == [("a", "1")]


def test_restarted_daemon_resumes_where_it_stopped(broker, state):
    send(broker, "a")
    steps(started(CountingFlow(), broker, state))
    send(broker, "b")
    later = CountingFlow()
    steps(started(later, broker, state))

    assert later.handled == ["b"]
    assert answers(broker) == [("a", "1"), ("b", "2")]


def test_event_that_is_read_again_is_not_handled_again(broker, state):
    send(broker, "a", "b")
    steps(started(CountingFlow(), broker, state))
    with state.transaction():
        state.save_positions(broker.incarnation(), {Partition("cb.request", 0): 0})
    again = CountingFlow()
    steps(started(again, broker, state))

    assert again.handled == []
    assert len(answers(broker)) == 2


def test_outbox_is_sent_at_the_start_after_a_crash_before_the_send(broker, state, monkeypatch):
    send(broker, "a")
    loop = started(CountingFlow(), broker, state)
    monkeypatch.setattr(loop, "_send", lambda: None)
    steps(loop)
    assert answers(broker) == []

    steps(started(CountingFlow(), broker, state))
    assert answers(broker) == [("a", "1")]


def test_confirmed_events_are_not_sent_again(broker, state):
    send(broker, "a")
    steps(started(CountingFlow(), broker, state))
    steps(started(CountingFlow(), broker, state))

    assert answers(broker) == [("a", "1")]
    assert state.outbox(10) == []


def test_failing_event_becomes_a_dead_letter_and_the_others_are_handled(broker, state):
    def fail(request):
        if request == "bad":
            raise Permanent("it is bad")

    flow = CountingFlow(fail)
    send(broker, "a", "bad", "b")
    steps(started(flow, broker, state))

    assert answers(broker) == [("a", "1"), ("b", "2")], "the count of the failed event was rolled back"
    (letter,) = list_dead(broker)
    assert b64decode(letter.value) == requested("bad").value
    assert letter.reason == "Permanent: it is bad"
    assert {name for name, _ in letter.headers} == {name for name, _ in requested("bad").headers}
    assert (letter.topic, letter.offset, letter.daemon) == ("cb.request", 1, "cb-request")


def test_dead_letter_that_is_sent_again_is_handled(broker, state):
    broken = [True]

    def fail(request):
        if broken:
            raise ValueError(request)

    flow = CountingFlow(fail)
    send(broker, "a")
    loop = started(flow, broker, state)
    steps(loop)
    broken.clear()
    retry(broker, list_dead(broker)[0].dead_id)
    steps(loop)

    assert flow.handled == ["a"]


@pytest.mark.parametrize("value", [b"not json", b"\xff", b'{"source": 5}', b"[" * 5000])
def test_undecodable_message_becomes_a_dead_letter_with_its_bytes(broker, state, value):
    flow = CountingFlow()
    broker.producer().send([OutgoingRecord("cb.request", b"k", value, (("x-mine", b"\xfe"),))], 1.0)
    send(broker, "a")
    steps(started(flow, broker, state))

    (letter,) = list_dead(broker)
    assert (b64decode(letter.value), b64decode(letter.key)) == (value, b"k")
    assert [(name, b64decode(header)) for name, header in letter.headers] == [("x-mine", b"\xfe")]
    assert flow.handled == ["a"]


def test_sender_of_an_undecodable_message_gets_an_answer(broker, state):
    flow = CountingFlow()

    def reject(value, reason, work):
        work.emit(RequestRejected(request_id="malformed", code="malformed", message=reason, rejected_at=work.now))
        return True

    flow.reject = reject
    broker.producer().send([OutgoingRecord("cb.request", None, b'{"sauce": "s", "all": true}')], 1.0)
    broker.producer().send([OutgoingRecord("cb.result", None, b"not for people")], 1.0)
    steps(started(flow, broker, state))

    assert answers(broker) == [("malformed", "malformed")]
    assert len(list_dead(broker)) == 2


def test_retryable_event_is_handled_before_later_events(broker, state):
    tries = []

    def fail(request):
        if request == "a" and len(tries) < 3:
            tries.append(request)
            raise Retryable("the store is unreachable", delay=0.0)

    flow = CountingFlow(fail)
    send(broker, "a", "b")
    steps(started(flow, broker, state))

    assert answers(broker) == [("a", "1"), ("b", "2")]
    assert list_dead(broker) == []


def test_flow_ticks_while_an_event_waits(broker, state):
    def fail(request):
        if flow.calls.count("tick") < 2:
            raise Retryable("not yet", delay=0.03)

    flow = CountingFlow(fail)
    send(broker, "a")
    steps(started(flow, broker, state), 1)

    assert flow.handled == ["a"]


def test_failing_tick_does_not_roll_back_events(broker, state):
    flow = CountingFlow()
    flow.tick = lambda work: (_ for _ in ()).throw(ValueError("tick"))
    send(broker, "a")
    stop = Event()
    loop = started(flow, broker, state)
    Thread(target=stop.set).start()
    loop.step(Event())

    assert answers(broker) == [("a", "1")]
    assert list_dead(broker) == []


def test_flow_republishes_once_for_a_new_incarnation_of_the_broker(state):
    for _ in range(2):
        flow = CountingFlow()
        started(flow, MemoryBroker(), state)
    assert flow.calls.count("republish") == 1

    broker = MemoryBroker()
    started(CountingFlow(), broker, state)
    flow = CountingFlow()
    started(flow, broker, state)
    assert "republish" not in flow.calls


def test_outage_is_logged_once_and_the_daemon_continues_after_it(broker, state, caplog):
    caplog.set_level("INFO", logger="cb")
    flow = CountingFlow()
    loop = started(flow, broker, state)
    broker.unplug()
    ticks = flow.calls.count("tick")
    steps(loop, 4)
    broker.plug()
    send(broker, "a")
    steps(loop)

    assert flow.calls.count("tick") > ticks + 4
    assert answers(broker) == [("a", "1")]
    messages = [record.message for record in caplog.records]
    assert messages.count("broker unreachable, waiting") == 1
    assert messages.count("broker is back") == 1


class GuardedBroker(MemoryBroker):
    """A broker that refuses records for the topics of `forbidden`."""

    forbidden: frozenset[str] = frozenset()

    def append(self, records):
        if self.forbidden & {record.topic for record in records}:
            raise NotAllowed("topic cb.intake: User:cb-request may not write to it", code="broker-rights")
        super().append(records)


def test_daemon_without_write_access_ends_and_sends_after_a_restart(state):
    broker = GuardedBroker()
    broker.forbidden = frozenset({INTAKE.topic})
    send(broker, "a")
    with pytest.raises(NotAllowed, match="may not write"):
        Loop(CountingFlow(), broker, state).run(Event())
    assert answers(broker) == []

    broker.forbidden = frozenset()
    steps(started(CountingFlow(), broker, state))
    assert answers(broker) == [("a", "1"), ("last", "stop")]


def test_local_errors_of_a_start_are_logged_and_are_no_outage(broker, state, caplog):
    caplog.set_level("INFO", logger="cb")
    errors = [Retryable("disk full"), Retryable("disk full"), Retryable("key expired", hint="renew it")]

    class FailingStart(CountingFlow):
        def restore(self, state):
            if errors:
                raise errors.pop(0)

    started(FailingStart(), broker, state)
    logged = [(record.message, getattr(record, "reason", "")) for record in caplog.records]
    assert [reason for message, reason in logged if "cannot start" in message] == ["disk full", "key expired"]
    messages = [message for message, _ in logged]
    assert "ready" in messages
    assert not any("broker" in message for message in messages)


def test_daemon_waits_for_a_broker_that_has_not_started(broker, state):
    broker.unplug()
    flow, stop = CountingFlow(), Event()
    thread = Thread(target=Loop(flow, broker, state).run, args=(stop,))
    thread.start()
    broker.plug()
    send(broker, "a")
    until(lambda: flow.handled == ["a"], "request a")
    stop.set()
    thread.join(LIMIT)
    assert not thread.is_alive()


def test_stopped_daemon_runs_the_last_transaction_and_sends_its_events(broker, state):
    flow, stop = CountingFlow(), Event()
    thread = Thread(target=Loop(flow, broker, state).run, args=(stop,))
    thread.start()
    send(broker, "a")
    until(lambda: flow.handled == ["a"], "request a")
    stop.set()
    thread.join(LIMIT)

    assert not thread.is_alive()
    assert answers(broker)[-1] == ("last", "stop")


def test_stopped_daemon_ends_without_a_broker(broker, tmp_path):
    flow, stop = CountingFlow(), Event()
    state = SqliteState(tmp_path / "state.db")
    thread = Thread(target=Loop(flow, broker, state).run, args=(stop,))
    thread.start()
    until(lambda: "tick" in flow.calls, "a tick")
    broker.unplug()
    stop.set()
    thread.join(LIMIT)

    assert not thread.is_alive()
    assert state.outbox(10)[-1][1][-1].topic == "cb.intake", "kept for the next start"
    state.close()


def test_plain_json_without_headers_is_handled(broker, state):
    flow = CountingFlow()
    broker.producer().send([OutgoingRecord("cb.request", None, b'{"source": "s", "units": ["packages/hello"]}')], 1.0)
    steps(started(flow, broker, state))

    assert len(flow.handled) == 1
    assert flow.handled[0].startswith("r-")


def test_emitted_event_has_the_trace_of_its_cause(broker, state):
    trace = "0af7651916cd43dd8448eb211c80319c"
    record = requested("a")
    headers = (*record.headers, ("traceparent", f"00-{trace}-b7ad6b7169203331-01".encode()))
    broker.producer().send([OutgoingRecord(record.topic, record.key, record.value, headers)], 1.0)
    steps(started(CountingFlow(), broker, state))

    assert trace in dict(broker.logs[INTAKE][0].headers)["traceparent"].decode()
