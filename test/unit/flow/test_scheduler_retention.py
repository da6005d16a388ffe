"""Tests of the scheduler's retention, on a whole mesh in memory whose clock is moved by days."""

from collections import Counter

import pytest

from cloud_builder.flow.scheduler import job_store, retention
from cloud_builder.mesh.changelog import change_of
from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome
from cloud_builder.ports.broker import Partition
from support.factories import unit_files
from support.memory_mesh import MemoryMesh, version_of
from support.waiting import LIMIT

CHAIN = unit_files("lib") | unit_files("tool", "lib") | unit_files("card", "tool")
DAY = 86400.0
JOBS = (job_store.EXPANSIONS, job_store.JOBS, job_store.STATUS_DOCUMENTS)
JOB_DOCUMENTS = 1 + 2
"""Documents of the jobs: one of the expansion, and two of jobs that waited for their inputs."""


@pytest.fixture
def mesh():
    mesh = MemoryMesh(CHAIN, runners=1)
    mesh.request("card")
    mesh.send(e.BuildCancelRequested(request_id="never"))
    mesh.finished()
    return mesh


def pass_days(mesh, days):
    """Moves the clock by days. The daemons are restarted: no daemon waits for so long."""
    mesh.wait(1)
    mesh.kill()
    mesh.now += days * DAY
    mesh.start(*mesh.daemons)
    mesh.wait(5)


def document_counts(mesh):
    """Returns the numbers of documents in the collections with a retention."""
    state = mesh.daemons["scheduler"].state
    jobs = state.count(job_store.EXPANSIONS) + state.count(job_store.JOBS)
    return {
        "jobs": jobs,
        **{
            name: state.count(name) for name in ("requests", "build-results", "published-packages", "canceled-requests")
        },
    }


def changelog_keys(mesh):
    """Returns the keys of the documents in the changelog."""
    changes = {}
    for record in mesh.broker.logs[Partition("cb.state", 0)]:
        changes[record.key.decode()] = change_of(record)
    return {key for key, put in changes.items() if put is not None}


def test_nothing_is_deleted_before_its_retention_ends(mesh):
    before = document_counts(mesh)
    pass_days(mesh, 29)
    assert (
        document_counts(mesh)
        == before
        == {"requests": 1, "jobs": JOB_DOCUMENTS, "build-results": 3, "published-packages": 3, "canceled-requests": 1}
    )


def test_request_is_deleted_with_its_jobs_and_from_the_changelog(mesh):
    pass_days(mesh, 31)
    assert document_counts(mesh) == {
        "requests": 0,
        "jobs": 0,
        "build-results": 3,
        "published-packages": 3,
        "canceled-requests": 0,
    }
    assert not {
        key
        for key in changelog_keys(mesh)
        if key.startswith(("requests/", "canceled-requests/", *(f"{name}/" for name in JOBS)))
    }


def test_result_is_reused_after_its_job_was_deleted(mesh):
    pass_days(mesh, 31)
    mesh.request("card", id="again")
    assert {job.outcome for job in mesh.finished("again").jobs} <= {Outcome.REUSED, Outcome.SKIPPED}
    assert len(mesh.builder.assignments) == 3


def result_counts(mesh):
    """Returns the number of stored results of each package."""
    return Counter(
        body["artifacts"][0]["package"]["name"] for _, body in mesh.daemons["scheduler"].state.find("build-results")
    )


def test_published_results_are_kept_longer_than_replaced_ones(mesh):
    mesh.git.repository("memory:demo").commit(CHAIN | unit_files("lib", content="new"))
    mesh.until(lambda: len(mesh.events(e.RequestFinished)) == 2)
    mesh.git.repository("memory:demo").commit(CHAIN)
    mesh.until(lambda: len(mesh.events(e.RequestFinished)) == 3)
    assert result_counts(mesh) == {"lib": 2, "tool": 3, "card": 3}, "the first content has another version now"
    pass_days(mesh, 200)
    assert result_counts(mesh) == {"lib": 1, "tool": 1, "card": 1}


def test_unit_that_is_not_changed_for_long_is_not_built_again(mesh):
    for _ in range(3):
        pass_days(mesh, 181)
    mesh.request("card", id="again")
    assert {job.outcome for job in mesh.finished("again").jobs} <= {Outcome.REUSED, Outcome.SKIPPED}
    assert len(mesh.builder.assignments) == 3


def test_only_the_newest_of_several_keys_with_the_same_bytes_is_kept(mesh):
    mesh.builder.content = lambda assignment: f"{assignment.name} {version_of(assignment)} amd64"
    for number in (2, 3, 4):
        mesh.git.repository("memory:demo").commit(CHAIN | unit_files("lib", content=f"# {number}"))
        mesh.until(lambda number=number: len(mesh.events(e.RequestFinished)) == number)
    assert result_counts(mesh)["lib"] == 4
    pass_days(mesh, 200)
    assert result_counts(mesh) == {"lib": 1, "tool": 1, "card": 1}
    assert len(mesh.first_builds()) == 3 + 3 + 2
    mesh.request("card", id="again")
    mesh.finished("again")
    assert len(mesh.first_builds()) == 3 + 3 + 2


def test_results_of_deleted_units_are_deleted(mesh):
    mesh.git.repository("memory:demo").commit(unit_files("lib") | unit_files("tool", "lib"))
    mesh.until(lambda: document_counts(mesh)["published-packages"] == 2)
    pass_days(mesh, 181)
    assert result_counts(mesh) == {"lib": 1, "tool": 1}


def test_open_request_is_never_deleted(mesh):
    mesh.builder.outcome_of = lambda assignment, log, cancel: (
        Outcome.CANCELED if cancel.wait(LIMIT) else Outcome.SUCCESS
    )
    mesh.git.repository("memory:demo").commit(CHAIN | unit_files("lib", content="new"))
    mesh.until(lambda: len(mesh.builder.assignments) == 4)
    mesh.kill("r1")
    pass_days(mesh, 40)
    assert document_counts(mesh)["requests"] == 1
    [(_, expansion)] = mesh.daemons["scheduler"].state.find(job_store.EXPANSIONS)
    assert len(expansion["jobs"]) == 3


def test_large_request_is_deleted_in_several_ticks(mesh, monkeypatch):
    monkeypatch.setattr(retention, "MAX_PER_TICK", 2)
    mesh.wait(1)
    mesh.kill()
    mesh.now += 31 * DAY
    mesh.start(*mesh.daemons)
    seen = set()
    mesh.until(
        lambda: (
            seen.add((document_counts(mesh)["requests"], document_counts(mesh)["jobs"]))
            or not document_counts(mesh)["requests"]
        )
    )
    assert {(1, 1), (0, 0)} <= seen
