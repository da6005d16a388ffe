"""Tests of the whole mesh in memory: a request from start to end; and all topics read again, which starts nothing."""

import pytest

from cloud_builder.model import events as e
from cloud_builder.model.dispatch import Dispatch
from cloud_builder.model.outcome import Outcome
from cloud_builder.ports.broker import OutgoingRecord
from support.factories import unit_files
from support.memory_mesh import MemoryMesh

CHAIN = unit_files("lib") | unit_files("tool", "lib") | unit_files("card", "tool")


@pytest.fixture(params=list(Dispatch))
def mesh(request):
    return MemoryMesh(CHAIN, runners=2, dispatch=request.param)


def test_request_is_built_in_order_and_published(mesh):
    mesh.request("card")
    finished = mesh.finished()
    assert [(job.unit, job.outcome) for job in finished.jobs] == [
        ("packages/lib", Outcome.SUCCESS),
        ("packages/tool", Outcome.SUCCESS),
        ("packages/card", Outcome.SUCCESS),
    ]
    assert [assignment.name for assignment in mesh.builder.assignments] == ["lib", "tool", "card"]
    [repository] = finished.repositories
    listed = mesh.repositories.snapshots["demo-bookworm"][repository.snapshot].packages["amd64"]
    assert sorted(artifact.package.name for artifact in listed) == ["card", "lib", "tool"]
    mesh.round()
    mesh.send(e.InfoAsked(query_id="a", what="request", args={"id": "q"}))
    mesh.until(lambda: mesh.events(e.InfoAnswered))


def test_push_builds_changed_units_and_their_dependants(mesh):
    mesh.request("card")
    mesh.finished()
    mesh.git.repository("memory:demo").commit(CHAIN | unit_files("tool", "lib", content="new"))
    mesh.until(lambda: len(mesh.events(e.RequestFinished)) == 2)
    assert [assignment.name for assignment in mesh.first_builds()] == ["lib", "tool", "card", "tool", "card"]


@pytest.fixture
def eventful(mesh):
    """Returns a mesh after builds, failures, reuse, rejections, pushes, changes of sources, and malformed messages."""
    outcome = {"tool": Outcome.FAILURE}
    mesh.builder.outcome_of = lambda assignment, log, cancel: outcome.get(assignment.name, Outcome.SUCCESS)
    mesh.request("card")
    mesh.finished()
    outcome.clear()
    mesh.request("card", id="again")
    mesh.request("nothing", id="unknown-unit")
    mesh.request("lib", id="unknown-source", source="unknown")
    mesh.send(e.BuildCancelRequested(request_id="never"), e.SourceRemoveRequested(source="later"))
    for id in ("again", "unknown-unit", "unknown-source"):
        mesh.finished(id)
    mesh.send(e.SourceAddRequested(source="later", url="memory:demo"))
    mesh.until(lambda: [event for event in mesh.events(e.SourceRevised) if event.source == "later"])
    for value in (b"{", b'{"sauce": 1}', b'{"source": "demo", "units": ["lib"], "request_id": "bare"}'):
        mesh.broker.append([OutgoingRecord("cb.request", None, value)])
    mesh.broker.append([OutgoingRecord("cb.job", b"x", b"rubbish")])
    mesh.finished("bare")
    mesh.git.repository("memory:demo").commit(CHAIN | unit_files("lib", content="new"))
    mesh.until(lambda: any(request.origin == "push" for request in mesh.events(e.RequestAccepted)))
    mesh.send(e.InfoAsked(query_id="a", what="requests"))
    mesh.wait(30)
    return mesh


def test_reading_all_topics_again_starts_and_emits_nothing(eventful):
    before, built, sources = eventful.sizes(), len(eventful.builder.assignments), followed(eventful)
    eventful.rewind()
    eventful.wait(30)
    assert eventful.sizes() == before
    assert len(eventful.builder.assignments) == built
    assert followed(eventful) == sources == ["demo", "later"]


def followed(mesh):
    return sorted(name for name, _ in mesh.daemons["request"].state.find("source"))
