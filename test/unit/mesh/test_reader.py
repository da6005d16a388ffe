"""Where a daemon begins to read, and what it does not even read."""

from __future__ import annotations

from threading import Event
from uuid import uuid4

from cloud_builder.adapters.memory.broker import MemoryBroker
from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.mesh.codec import Envelope, encode
from cloud_builder.mesh.reader import Reader, start_positions, topics_of
from cloud_builder.mesh.transaction import Transaction
from cloud_builder.model.events import ClaimRefused, Payload, RunnerQuarantined
from cloud_builder.model.outcome import Role
from cloud_builder.model.topics import ASSIGNMENT, ELIGIBILITY
from cloud_builder.ports.broker import OutgoingRecord


def aside(runner: str, reason: str = "disk full", at: float = 1.0) -> RunnerQuarantined:
    return RunnerQuarantined(runner_id=runner, reason=reason, until=at + 30, at=at)


def refused(runner: str, attempt: int = 1) -> ClaimRefused:
    return ClaimRefused(job_id="r.1", attempt=attempt, runner_id=runner, reason="no")


def sent(payload: Payload) -> OutgoingRecord:
    return encode(payload, source="cb-scheduler", id=str(uuid4()), time=1.0)


def read(broker: MemoryBroker, role: Role, instance: str = "") -> list[Payload]:
    positions = start_positions(broker, role, instance, {})
    reader = Reader(broker, role, instance, broker.incarnation(), positions)
    found = [one.content for one in reader.poll(lambda: 0.0, Event())]
    return [one.payload for one in found if isinstance(one, Envelope)]


def broker_with(*payloads: Payload) -> MemoryBroker:
    broker = MemoryBroker()
    broker.ensure_topics([ASSIGNMENT, ELIGIBILITY])
    broker.append([sent(payload) for payload in payloads])
    return broker


def test_cb_info_reads_no_orders() -> None:
    assert ELIGIBILITY in topics_of(Role.INFO)
    assert ASSIGNMENT not in topics_of(Role.INFO)
    assert read(broker_with(refused("r1"), aside("r1")), Role.INFO) == [aside("r1")]


def test_a_runner_that_starts_hears_how_it_stands_but_none_of_its_old_orders() -> None:
    assert read(broker_with(refused("r1"), aside("r1")), Role.RUNNER, "r1") == [aside("r1")]


def test_of_several_words_on_a_runner_in_one_transaction_the_last_is_sent_and_every_order_is() -> None:
    work = Transaction(MemoryState(), source="cb-scheduler", now=1.0, broker_seen=1.0, live=lambda record: None)
    for payload in (aside("r1"), refused("r1"), aside("r2"), refused("r1", 2), aside("r1", reason="", at=2.0)):
        work.emit(payload)
    records = work.close()
    assert [record.topic for record in records].count(ASSIGNMENT.name) == 2
    standings = [
        b'"reason":"disk full"' in (record.value or b"") for record in records if record.topic == "cb.eligibility"
    ]
    assert standings == [True, False]
