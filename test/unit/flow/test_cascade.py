"""Tests of cascades in a whole mesh: a change rebuilds exactly the packages whose inputs changed, in order."""

from __future__ import annotations

import pytest

from cloud_builder.model import events as e
from cloud_builder.model.outcome import JobState, Outcome, RequestOutcome
from support.compiled_mesh import SECONDS, built, library, mesh_with, pushed
from support.factories import unit_files
from support.memory_mesh import URL, MemoryMesh

FAR = "memory:far"


@pytest.fixture
def mesh() -> MemoryMesh:
    mesh = mesh_with(library("1"))
    mesh.request(all=True, id="first")
    assert mesh.finished("first").outcome is RequestOutcome.SUCCESS
    return mesh


def test_comment_in_a_library_rebuilds_only_the_library(mesh):
    end = pushed(mesh, library("1 # a comment"))
    assert built(mesh) == ["lib"]
    assert {job.unit.split("/")[1]: (job.outcome, job.code) for job in end.jobs} == {
        "lib": (Outcome.SUCCESS, ""),
        **dict.fromkeys(("tool", "app", "doc", "card"), (Outcome.SKIPPED, "unchanged")),
    }
    assert (end.outcome, end.summary) == (
        RequestOutcome.SUCCESS, e.Summary(built=1, reused=0, unchanged=4, saved=4 * SECONDS),
    )  # fmt: skip
    assert all(job.artifacts for job in end.jobs)


def test_changed_library_rebuilds_exactly_its_dependants_in_order(mesh):
    end = pushed(mesh, library("2"))
    assert sorted(built(mesh)) == ["app", "card", "doc", "lib", "tool"]
    assert built(mesh)[0] == "lib"
    assert built(mesh).index("tool") < built(mesh).index("card")
    assert end.summary == e.Summary(built=5)


def test_cascade_stops_at_an_unchanged_output(mesh):
    assert sorted(built_by(mesh, library("1", tool="1"))) == ["card", "tool"]
    assert sorted(built_by(mesh, library("2", tool="1"))) == ["app", "doc", "lib", "tool"]


def test_forced_unit_is_built_although_its_inputs_are_known(mesh):
    mesh.builder.assignments.clear()
    mesh.request("packages/tool", id="forced", force=True)
    end = mesh.finished("forced")
    assert built(mesh) == ["tool"]
    assert {job.unit: (job.outcome, job.code) for job in end.jobs} == {
        "packages/lib": (Outcome.SKIPPED, "unchanged"),
        "packages/tool": (Outcome.SUCCESS, ""),
    }
    mesh.request("packages/tool", id="again")
    assert [job.outcome for job in mesh.finished("again").jobs if job.unit == "packages/tool"] == [Outcome.REUSED]


def test_request_with_profiles_is_another_build(mesh):
    mesh.builder.assignments.clear()
    for id in ("a", "b"):
        mesh.request("packages/tool", id=id, profiles=["nocheck"])
        assert mesh.finished(id).outcome is RequestOutcome.SUCCESS
    assert built(mesh) == ["tool*"]
    jobs = [job for job in mesh.events(e.JobFinished) if job.unit == "packages/tool"]
    assert [(job.outcome, job.profiles) for job in jobs[-2:]] == [
        (Outcome.SUCCESS, ("nocheck",)),
        (Outcome.REUSED, ("nocheck",)),
    ]


def built_by(mesh: MemoryMesh, files: dict[str, bytes]) -> list[str]:
    pushed(mesh, files)
    return built(mesh)


def test_unchanged_job_is_published_and_counts_as_built_later(mesh):
    pushed(mesh, library("1 # a comment"))
    snapshots = mesh.events(e.RepositoryPublished)
    end = pushed(mesh, library("1 # a comment", card="2!"))
    assert built(mesh) == ["card"]
    assert len(mesh.events(e.RepositoryPublished)) > len(snapshots)
    assert end.outcome is RequestOutcome.SUCCESS


def test_push_builds_dependants_in_other_sources_at_their_own_commit(mesh):
    far = unit_files("far", "lib", content="1!") | unit_files("alone", content="1")
    mesh.git.repository(FAR).commit(far)
    mesh.send(e.SourceAddRequested(source="theirs", url=FAR))
    mesh.until(lambda: any(event.source == "theirs" for event in mesh.events(e.SourceRevised)))
    mesh.request(all=True, id="theirs", source="theirs")
    mesh.finished("theirs")
    end = pushed(mesh, library("2"))
    assert sorted(built(mesh)) == ["app", "card", "doc", "far", "lib", "tool"]
    names = {(state.repository, bool(state.snapshot)) for state in end.repositories}
    assert names == {("demo-bookworm", True), ("theirs-bookworm", True)}
    revisions = {job.source: job.revision for job in mesh.events(e.JobFinished) if job.request_id == end.request_id}
    assert revisions == {
        "demo": mesh.git.repository(URL).branches["main"],
        "theirs": mesh.git.repository(FAR).branches["main"],
    }
    mesh.send(e.SourceRemoveRequested(source="theirs"))
    mesh.until(lambda: mesh.events(e.SourceRemoved))
    assert sorted(built_by(mesh, library("3"))) == ["app", "card", "doc", "lib", "tool"]


def test_expected_seconds_are_those_of_the_last_build(mesh):
    pushed(mesh, library("2"))
    last = {job.unit.split("/")[1]: job for job in mesh.events(e.JobQueued)}
    assert (last["lib"].expected_seconds, last["lib"].critical_path) == (SECONDS, 3 * SECONDS)
    assert (last["card"].expected_seconds, last["card"].critical_path) == (SECONDS, SECONDS)
    assert [used.name for used in last["card"].inputs.dependencies] == ["tool"]


def cycle(content: str = "1!", restriction: str = "") -> dict[str, bytes]:
    """Returns the files of chicken ↔ egg, and of omelette, which needs egg."""
    found = unit_files("chicken", f"egg{restriction}", content=content) | unit_files("egg", "chicken", content="1!")
    return found | unit_files("omelette", "egg", content="1!")


def test_cycle_starts_with_profiles_and_repeats_until_stable():
    mesh = mesh_with(cycle("1", " <!nocheck>"))
    mesh.request(all=True)
    end = mesh.finished()
    assert built(mesh) == ["chicken*", "egg", "chicken", "egg", "chicken", "omelette"]
    assert end.outcome is RequestOutcome.SUCCESS
    assert end.message == ""
    rounds = [(job.round, job.profiles) for job in mesh.events(e.JobFinished) if job.unit == "packages/chicken"]
    assert sorted(rounds) == [(1, ("nocheck",)), (2, ()), (3, ())]
    publications = [job for job in mesh.events(e.JobFinished) if job.publish]
    assert sorted(job.unit.split("/")[1] for job in publications) == ["chicken", "egg", "omelette"]
    again = pushed(mesh, cycle("1 # a comment", " <!nocheck>"))
    assert built(mesh) == ["chicken"]
    assert again.message == ""


def test_unstable_cycle_names_the_members_that_still_change():
    mesh = mesh_with(cycle("1!", " <!nocheck>"))
    mesh.request(all=True)
    end = mesh.finished()
    assert end.outcome is RequestOutcome.SUCCESS
    assert end.message == "after 3 rounds of a dependency cycle these still change: packages/chicken, packages/egg"


def test_cycle_without_profiles_is_begun_without_its_own_packages():
    mesh = mesh_with(cycle())
    mesh.request(all=True)
    assert mesh.finished().outcome is RequestOutcome.SUCCESS
    offered = [len(assignment.dependencies) for assignment in mesh.builder.assignments]
    assert (offered[0], all(offered[1:])) == (0, True)
    assert built(mesh)[:3] == ["chicken", "egg", "chicken"]


def test_every_job_of_a_cycle_has_its_inputs_before_it_starts():
    mesh = mesh_with(cycle("1", " <!nocheck>"))
    mesh.request(all=True)
    mesh.finished()
    reported: set[str] = set()
    for event in sorted(mesh.envelopes(), key=lambda envelope: envelope.time):
        if isinstance(event.payload, e.AttemptFinished):
            reported |= {artifact.sha256 for artifact in event.payload.artifacts}
    assert all(
        artifact.sha256 in reported for assignment in mesh.builder.assignments for artifact in assignment.dependencies
    )
    assert {job.state for job in mesh.events(e.JobFinished)} == {JobState.FINISHED}
