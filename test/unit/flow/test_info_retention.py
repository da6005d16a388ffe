"""Tests of the retention of cb-info, with a whole mesh in memory whose clock is moved by days."""

import pytest

from cloud_builder.flow.info import livelog, retention
from cloud_builder.model import events as e
from support.factories import unit_files
from support.memory_mesh import MemoryMesh

DAY = 86400.0
OF_REQUESTS = ("request", "job", "job-state", "job-name", "attempt", "log", "log-piece")


@pytest.fixture
def mesh():
    mesh = MemoryMesh(unit_files("lib") | unit_files("tool", "lib"))
    mesh.request("tool")
    mesh.finished()
    mesh.wait(1)
    return mesh


@pytest.fixture
def state(mesh):
    return mesh.daemons["info"].state


def pass_days(mesh, days):
    mesh.kill()
    mesh.now += days * DAY
    mesh.start(*mesh.daemons)
    mesh.wait(5)


def test_request_is_deleted_after_thirty_days_with_all_of_its_jobs(mesh, state):
    pass_days(mesh, 29)
    assert state.count("request") == 1
    assert state.count("job") == 2
    pass_days(mesh, 2)
    assert {name: state.count(name) for name in OF_REQUESTS} == dict.fromkeys(OF_REQUESTS, 0)
    assert state.count("unit") == 2


def test_unfinished_request_stays_and_does_not_stop_the_pruning(mesh, state, monkeypatch):
    monkeypatch.setattr(retention, "MAX_REQUESTS", 1)
    with state.transaction():
        lost = {"request_id": "lost", "source": "demo", "state": "accepted", "accepted_at": 1.0}
        state.put("request", "lost", lost, rank=1.0)
    pass_days(mesh, 31)
    assert [key for key, _ in state.find("request")] == ["lost"]


def test_live_log_is_deleted_a_day_after_its_job_when_no_whole_log_came(mesh, state):
    [(job, body), *_] = state.find("job")
    with state.transaction():
        state.put("job", job, {**body, "log": None}, parent="q", rank=1.0)
        livelog.append(e.LogAppended(job_id=job, attempt=9, offset=0, text="text\n"), state)
    mesh.wait(70)
    assert state.count("log-piece") == 1
    pass_days(mesh, 2)
    assert state.count("log-piece") == 0
    assert livelog.last_line(job, state) == "text"
