"""What the scheduler forgets and what it keeps, over a whole mesh in memory whose clock is moved by days."""

from collections import Counter

import pytest

from cloud_builder.flow.scheduler import job_store, retention
from cloud_builder.mesh.changelog import change_of
from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome
from cloud_builder.ports.broker import Partition
from support.factories import unit_files
from support.memory_mesh import MemoryMesh
from support.waiting import LIMIT

CHAIN = unit_files("lib") | unit_files("tool", "lib") | unit_files("card", "tool")
DAY = 86400.0
JOBS = (job_store.EXPANSIONS, job_store.JOBS, job_store.STATUS_DOCUMENTS)
OF_CHAIN = 1 + 2
"""One expansion, and two that had to wait for their inputs."""


@pytest.fixture
def mesh():
    mesh = MemoryMesh(CHAIN, runners=1)
    mesh.ask("card")
    mesh.send(e.BuildCancelRequested(request_id="never"))
    mesh.finished()
    return mesh


def pass_days(mesh, days):
    """Nobody sleeps so long: the daemons are started again on the other side of it."""
    mesh.wait(1)
    mesh.kill()
    mesh.now += days * DAY
    mesh.start(*mesh.daemons)
    mesh.wait(5)


def kept(mesh):
    """How many documents there are of what is forgotten one day."""
    state = mesh.daemons["scheduler"].state
    jobs = state.count(job_store.EXPANSIONS) + state.count(job_store.JOBS)
    return {
        "jobs": jobs,
        **{
            name: state.count(name) for name in ("requests", "build-results", "published-packages", "canceled-requests")
        },
    }


def told(mesh):
    """The documents that the changelog tells."""
    changes = {}
    for record in mesh.broker.logs[Partition("cb.state", 0)]:
        changes[record.key.decode()] = change_of(record)
    return {key for key, put in changes.items() if put is not None}


def test_nothing_is_forgotten_too_soon(mesh):
    before = kept(mesh)
    pass_days(mesh, 29)
    assert (
        kept(mesh)
        == before
        == {"requests": 1, "jobs": OF_CHAIN, "build-results": 3, "published-packages": 3, "canceled-requests": 1}
    )


def test_a_request_goes_with_its_jobs_and_leaves_the_changelog(mesh):
    pass_days(mesh, 31)
    assert kept(mesh) == {"requests": 0, "jobs": 0, "build-results": 3, "published-packages": 3, "canceled-requests": 0}
    assert not {
        key for key in told(mesh) if key.startswith(("requests/", "canceled-requests/", *(f"{name}/" for name in JOBS)))
    }


def test_what_was_built_is_reused_after_its_job_was_forgotten(mesh):
    pass_days(mesh, 31)
    mesh.ask("card", id="again")
    assert {job.outcome for job in mesh.finished("again").jobs} <= {Outcome.REUSED, Outcome.SKIPPED}
    assert len(mesh.builder.orders) == 3


def built(mesh):
    """By package, how many results are remembered."""
    return Counter(
        body["artifacts"][0]["package"]["name"] for _, body in mesh.daemons["scheduler"].state.find("build-results")
    )


def test_what_is_used_is_kept_longer_than_what_is_not(mesh):
    mesh.git.repository("memory:demo").commit(CHAIN | unit_files("lib", content="new"))
    mesh.until(lambda: len(mesh.told(e.RequestFinished)) == 2)
    mesh.git.repository("memory:demo").commit(CHAIN)
    mesh.until(lambda: len(mesh.told(e.RequestFinished)) == 3)
    assert built(mesh) == {"lib": 2, "tool": 2, "card": 2}
    pass_days(mesh, 200)
    assert built(mesh) == {"lib": 1, "tool": 1, "card": 1}


def test_what_nobody_touched_for_long_is_not_built_again(mesh):
    for _ in range(3):
        pass_days(mesh, 181)
    mesh.ask("card", id="again")
    assert {job.outcome for job in mesh.finished("again").jobs} <= {Outcome.REUSED, Outcome.SKIPPED}
    assert len(mesh.builder.orders) == 3


def test_of_the_same_bytes_only_the_newest_inputs_are_remembered(mesh):
    mesh.builder.content = lambda order: f"{order.name} 1 amd64"
    for number in (2, 3, 4):
        mesh.git.repository("memory:demo").commit(CHAIN | unit_files("lib", content=f"# {number}"))
        mesh.until(lambda number=number: len(mesh.told(e.RequestFinished)) == number)
    assert built(mesh)["lib"] == 4
    pass_days(mesh, 200)
    assert built(mesh) == {"lib": 1, "tool": 1, "card": 1}
    assert len(mesh.builder.orders) == 3 + 3 + 2
    mesh.ask("card", id="again")
    mesh.finished("again")
    assert len(mesh.builder.orders) == 3 + 3 + 2


def test_what_git_has_no_more_is_forgotten(mesh):
    mesh.git.repository("memory:demo").commit(unit_files("lib") | unit_files("tool", "lib"))
    mesh.until(lambda: kept(mesh)["published-packages"] == 2)
    pass_days(mesh, 181)
    assert built(mesh) == {"lib": 1, "tool": 1}


def test_an_open_request_is_never_forgotten(mesh):
    mesh.builder.says = lambda order, log, cancel: Outcome.CANCELED if cancel.wait(LIMIT) else Outcome.SUCCESS
    mesh.git.repository("memory:demo").commit(CHAIN | unit_files("lib", content="new"))
    mesh.until(lambda: len(mesh.builder.orders) == 4)
    mesh.kill("r1")
    pass_days(mesh, 40)
    assert kept(mesh)["requests"] == 1
    [(_, expansion)] = mesh.daemons["scheduler"].state.find(job_store.EXPANSIONS)
    assert len(expansion["jobs"]) == 3


def test_a_large_request_goes_little_by_little(mesh, monkeypatch):
    monkeypatch.setattr(retention, "MAX_PER_TICK", 2)
    mesh.wait(1)
    mesh.kill()
    mesh.now += 31 * DAY
    mesh.start(*mesh.daemons)
    seen = set()
    mesh.until(lambda: seen.add((kept(mesh)["requests"], kept(mesh)["jobs"])) or not kept(mesh)["requests"])
    assert {(1, 1), (0, 0)} <= seen
