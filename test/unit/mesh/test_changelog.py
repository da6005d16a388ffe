"""The changelog of the scheduler's documents: each change is written to it, and a new host gets all of them back."""

import json

import pytest

from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.adapters.sqlite.packet import pack, unpack
from cloud_builder.mesh.changelog import change_of
from cloud_builder.mesh.codec import encode
from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome
from cloud_builder.ports.broker import OutgoingRecord, Partition, Record
from support.factories import unit_files
from support.memory_mesh import MemoryMesh

CHAIN = unit_files("lib") | unit_files("tool", "lib") | unit_files("card", "tool")
PARTITION = Partition("cb.state", 0)


def on_a_new_host(mesh):
    """Restarts the scheduler with an empty state. Returns the lost state and the new one."""
    mesh.kill("scheduler")
    lost = mesh.daemons["scheduler"].state
    mesh.daemons["scheduler"].state = MemoryState()
    mesh.start("scheduler")
    return lost, mesh.daemons["scheduler"].state


@pytest.fixture
def mesh():
    return MemoryMesh(CHAIN, runners=2)


def test_new_host_has_all_documents_of_the_lost_one(mesh):
    outcome = {"tool": Outcome.FAILURE}
    mesh.builder.outcome_of = lambda assignment, log, cancel: outcome.get(assignment.name, Outcome.SUCCESS)
    mesh.request("card", id="failed")
    mesh.finished("failed")
    outcome.clear()
    mesh.request("card")
    mesh.send(e.BuildCancelRequested(request_id="never"))
    mesh.finished()
    mesh.wait(1)
    lost, found = on_a_new_host(mesh)
    assert {row[0] for row in found.documents()} >= {
        *(
            "requests",
            "jobs",
            "build-results",
            "published-packages",
            "source-snapshots",
            "canceled-requests",
            "finished-requests",
            "counters",
        ),
    }
    assert found.documents() == lost.documents()


def test_new_host_starts_no_job_and_emits_only_the_last_result_again(mesh):
    mesh.request("card")
    mesh.finished()
    mesh.wait(1)
    before = mesh.sizes()
    on_a_new_host(mesh)
    mesh.wait(30)
    after = mesh.sizes()
    assert {
        partition: after[partition] - before[partition] for partition in after if after[partition] != before[partition]
    } == {
        "Partition(topic='cb.result', number=0)": 1,
        "Partition(topic='cb.state', number=0)": 1,
    }
    assert len(mesh.builder.assignments) == len(CHAIN) // 4


@pytest.mark.parametrize("started", [1, 2, 3])
def test_new_host_continues_a_request(mesh, started):
    mesh.request("card")
    mesh.until(lambda: len(mesh.builder.assignments) == started)
    on_a_new_host(mesh)
    finished = mesh.finished()
    assert {job.outcome for job in finished.jobs} == {Outcome.SUCCESS}
    assert [assignment.name for assignment in mesh.builder.assignments] == ["lib", "tool", "card"]
    assert {event.attempt for event in mesh.events(e.AttemptStarted)} == {1}


def test_new_host_continues_the_sequence_of_requests(mesh):
    mesh.request("lib", id="first")
    mesh.finished("first")
    on_a_new_host(mesh)
    mesh.request("lib", id="second")
    mesh.finished("second")
    found = mesh.daemons["scheduler"].state
    assert found.get("requests", "second")["sequence"] == found.get("requests", "first")["sequence"] + 1


def test_incomplete_packet_is_not_applied_and_is_repaired(mesh):
    mesh.request("card")
    mesh.finished()
    mesh.wait(1)
    rest = [e.StateChanged.of("requests/q", None), e.StateChanged.of("jobs/q.9", {"request_id": "q"}, "q", 9.0)]
    mesh.broker.append([encode(change, source="s", id="i", time=0.0) for change in rest])
    lost, found = on_a_new_host(mesh)
    assert found.documents() == lost.documents()
    mesh.wait(1)
    repaired = {record.key: change_of(record) for record in mesh.broker.logs[PARTITION]}
    assert repaired[b"requests/q"].parent == "done"
    assert repaired[b"jobs/q.9"] is None


def record(event: e.StateChanged) -> Record:
    sent = encode(event, source="s", id="i", time=0.0)
    return Record(PARTITION, 0, sent.key, sent.value, sent.headers)


@pytest.mark.parametrize("body", [{"a": 'b,"body":{"c":1}', "ä": [None]}, {}])
def test_document_keeps_its_parent_and_rank(body):
    put = change_of(record(e.StateChanged.of('offers/x/y,"body":z', body, 'p,"body":"', 2.5)))
    assert put is not None and put[:2] == ("offers", 'x/y,"body":z') and put[3:] == ('p,"body":"', 2.5)
    assert json.loads(put.body.json) == body


def test_deleted_document_is_a_tombstone_that_survives_the_outbox():
    sent = encode(e.StateChanged.of("jobs/1", None), source="s", id="i", time=0.0)
    assert sent.value is None and unpack(pack([sent])) == [sent]
    assert change_of(Record(PARTITION, 0, sent.key, None)) is None


def test_record_with_an_empty_body_is_a_deletion():
    assert change_of(Record(PARTITION, 0, b"jobs/r.1", b'{"entity_id":"jobs/r.1","body":null}')) is None


def test_outbox_keeps_records_without_key_and_empty_values():
    sent = [OutgoingRecord("t", None, b""), OutgoingRecord("t", b"", b""), OutgoingRecord("t", b"k", b"v")]
    assert unpack(pack(sent)) == sent
