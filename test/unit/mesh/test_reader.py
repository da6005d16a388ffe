"""A daemon's start positions, and the records that it does not read."""

from __future__ import annotations

from threading import Event
from uuid import uuid4

from cloud_builder.adapters.memory.broker import MemoryBroker
from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.mesh.codec import Envelope, encode
from cloud_builder.mesh.reader import Reader, start_positions, topics_of
from cloud_builder.mesh.transaction import Transaction
from cloud_builder.model.events import ClaimRefused, Payload, RunnerQuarantined
from cloud_builder.model.role import Role
from cloud_builder.model.topics import ASSIGNMENT, ELIGIBILITY
from cloud_builder.ports.broker import OutgoingRecord


def quarantined(runner: str, reason: str = "disk full", at: float = 1.0) -> RunnerQuarantined:
    return RunnerQuarantined(runner_id=runner, reason=reason, until=at + 30, at=at)


def refused(runner: str, attempt: int = 1) -> ClaimRefused:
    return ClaimRefused(job_id="r.1", attempt=attempt, runner_id=runner, reason="no")


def sent(payload: Payload) -> OutgoingRecord:
    return encode(payload, source="cb-scheduler", id=str(uuid4()), time=1.0)


def read(broker: MemoryBroker, role: Role, instance: str = "") -> list[Payload]:
    positions = start_positions(broker, role, instance, {})
    reader = Reader(broker, role, instance, broker.incarnation(), positions)
    contents = [delivery.content for delivery in reader.poll(lambda: 0.0, Event())]
    return [content.payload for content in contents if isinstance(content, Envelope)]


def broker_with(*payloads: Payload) -> MemoryBroker:
    broker = MemoryBroker()
    broker.ensure_topics([ASSIGNMENT, ELIGIBILITY])
    broker.append([sent(payload) for payload in payloads])
    return broker


def test_cb_info_reads_no_assignments() -> None:
    assert ELIGIBILITY in topics_of(Role.INFO)
    assert ASSIGNMENT not in topics_of(Role.INFO)
    assert read(broker_with(refused("r1"), quarantined("r1")), Role.INFO) == [quarantined("r1")]


def test_new_runner_reads_its_quarantine_but_no_old_assignments() -> None:
    assert read(broker_with(refused("r1"), quarantined("r1")), Role.RUNNER, "r1") == [quarantined("r1")]


def test_transaction_sends_the_last_quarantine_and_every_assignment() -> None:
    work = Transaction(MemoryState(), source="cb-scheduler", now=1.0, broker_seen=1.0, live=lambda record: None)
    for payload in (
        quarantined("r1"),
        refused("r1"),
        quarantined("r2"),
        refused("r1", 2),
        quarantined("r1", reason="", at=2.0),
    ):
        work.emit(payload)
    records = work.close()
    assert [record.topic for record in records].count(ASSIGNMENT.name) == 2
    quarantines = [
        b'"reason":"disk full"' in (record.value or b"") for record in records if record.topic == "cb.eligibility"
    ]
    assert quarantines == [True, False]
