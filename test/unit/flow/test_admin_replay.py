"""Tests of `cb-ctl admin replay` on a whole mesh in memory: a replay changes nothing, and shows state that was lost."""

import pytest

from cloud_builder.flow.info import InfoFlow
from cloud_builder.flow.scheduler import SchedulerFlow
from cloud_builder.mesh.replay import replay
from cloud_builder.model import events as e
from cloud_builder.model.dispatch import Dispatch
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.role import Role
from cloud_builder.model.settings import SchedulerSettings
from support.factories import unit_files
from support.memory_mesh import MemoryMesh

CHAIN = unit_files("lib") | unit_files("tool", "lib") | unit_files("card", "tool")
ROLES = {"scheduler": Role.SCHEDULER, "info": Role.INFO, "collector": Role.COLLECTOR, "request": Role.REQUEST}


@pytest.fixture(scope="module", params=list(Dispatch))
def mesh(request):
    """Returns a mesh after a failure, a success, reuse, a push, rejections and a cancel; no request is open."""
    mesh = MemoryMesh(CHAIN, runners=2, dispatch=request.param)
    outcome = {"tool": Outcome.FAILURE}
    mesh.builder.outcome_of = lambda assignment, log, cancel: outcome.get(assignment.name, Outcome.SUCCESS)
    mesh.request("card")
    mesh.finished()
    outcome.clear()
    mesh.request("card", id="again")
    mesh.request("nothing", id="unknown")
    mesh.request("lib", id="once-more")
    mesh.send(e.BuildCancelRequested(request_id="never"), e.InfoAsked(query_id="a", what="status"))
    for id in ("again", "unknown", "once-more"):
        mesh.finished(id)
    mesh.git.repository("memory:demo").commit(CHAIN | unit_files("lib", content="new"))
    mesh.until(lambda: len(mesh.events(e.RequestFinished)) == 5)
    mesh.wait(5)
    return mesh


def replayed(mesh, name, change=lambda state: None):
    flows = {
        "scheduler": lambda: SchedulerFlow(SchedulerSettings(), "http://here/objects"),
        "info": InfoFlow,
    }
    copy = mesh.daemons[name].state.copy()
    change(copy)
    before = mesh.size()
    result = replay(name, ROLES[name], flows.get(name, lambda: None)(), copy, mesh.broker, now=mesh.now)
    assert mesh.size() == before, "a replay sends nothing"
    return result


def prune_event_ids(state):
    state.prune_seen(1e12)


@pytest.mark.parametrize("name", ROLES)
def test_replay_of_finished_requests_starts_and_writes_nothing(mesh, name):
    result = replayed(mesh, name)
    assert result.read > 5
    assert (result.started, dict(result.written), dict(result.again)) == (0, {}, {})


@pytest.mark.parametrize("name", ["scheduler", "info"])
def test_event_without_stored_id_is_recognized_by_the_state(mesh, name):
    result = replayed(mesh, name, prune_event_ids)
    assert result.again.total() > 5
    assert (result.started, dict(result.written)) == (0, {})


def test_replay_writes_the_jobs_of_a_lost_request(mesh):
    def lose(state):
        prune_event_ids(state)
        for collection in ("requests", "jobs", "build-results"):
            for key, _ in state.find(collection):
                state.delete(collection, key)

    result = replayed(mesh, "scheduler", lose)
    assert result.written["job.queued"] > 0
    assert result.written["state.changed"] > 0
    assert result.started > 0


def test_replay_of_request_intake_reports_events_with_unknown_ids(mesh):
    assert replayed(mesh, "request", prune_event_ids).written.keys() >= {"results of build.requested"}


def test_event_sent_after_the_copy_is_not_read(mesh):
    copy = mesh.daemons["info"].state.copy()
    mesh.send(e.BuildCancelRequested(request_id="later"))
    mesh.wait(5)
    assert not replay("info", Role.INFO, InfoFlow(), copy, mesh.broker, now=mesh.now).again
