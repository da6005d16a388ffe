"""Tests of published versions in a whole mesh: other contents get a higher version, equal contents keep theirs."""

from __future__ import annotations

import pytest

from cloud_builder.model import events as e
from cloud_builder.model.dispatch import Dispatch
from cloud_builder.model.outcome import Outcome, RequestOutcome
from support.compiled_mesh import built, library, mesh_with, pushed
from support.factories import unit_files
from support.memory_mesh import MemoryMesh
from support.waiting import until

STATIC = ("app", "doc", "tool")
"""The units that contain the library."""


def versions(mesh: MemoryMesh) -> dict[str, str]:
    """Returns the versions in the repository, by package."""
    listing = mesh.repositories.snapshots["demo-bookworm"][mesh.repositories.live("demo-bookworm")]
    return {artifact.package.name: artifact.package.version for artifact in listing.packages["amd64"]}


def contents_by_version(mesh: MemoryMesh) -> dict[tuple[str, str], set[str]]:
    """Returns the digests that were ever published of each package and version."""
    found: dict[tuple[str, str], set[str]] = {}
    for listing in mesh.repositories.snapshots["demo-bookworm"].values():
        for artifact in listing.packages["amd64"]:
            found.setdefault((artifact.package.name, artifact.package.version), set()).add(artifact.sha256)
    return found


def mesh_of(files: dict[str, bytes], **options) -> MemoryMesh:
    mesh = mesh_with(files, **options)
    mesh.request(all=True, id="first")
    assert mesh.finished("first").outcome is RequestOutcome.SUCCESS
    return mesh


def changes(end: e.RequestFinished) -> dict[str, tuple[str, str]]:
    """Returns unit → (version before, version after) of the units whose version has changed."""
    jobs = [job for job in end.jobs if job.replaced_version != job.source_version]
    return {job.unit.split("/")[1]: (job.replaced_version, job.source_version) for job in jobs}


@pytest.mark.parametrize("dispatch", list(Dispatch))
def test_comment_publishes_no_version_and_a_change_each_dependant_once(dispatch):
    mesh = mesh_of(library("1"), dispatch=dispatch)
    before = versions(mesh)
    assert set(before.values()) == {"1"}
    comment = pushed(mesh, library("1 # a comment"))
    assert (versions(mesh), changes(comment), built(mesh)) == (before, {}, ["lib"])
    change = pushed(mesh, library("2"))
    assert versions(mesh) == before | dict.fromkeys(("lib", *STATIC, "card"), "1+cb1")
    assert changes(change) == dict.fromkeys(("lib", *STATIC, "card"), ("1", "1+cb1"))
    assert [assignment.name for assignment in mesh.builder.assignments].count("app") == 2
    assert all(len(digests) == 1 for digests in contents_by_version(mesh).values())


def test_package_that_the_change_does_not_reach_keeps_its_version():
    mesh = mesh_of(library("1", tool="1"))
    end = pushed(mesh, library("2", tool="1"))
    assert changes(end) == dict.fromkeys(("lib", "app", "doc"), ("1", "1+cb1"))
    assert versions(mesh)["tool"] == "1"
    assert versions(mesh)["card"] == "1"


def test_dependants_are_built_with_the_published_packages_only():
    mesh = mesh_of(library("1"))
    pushed(mesh, library("2"))
    used = {artifact.sha256 for assignment in mesh.builder.assignments for artifact in assignment.dependencies}
    published = {digest for digests in contents_by_version(mesh).values() for digest in digests}
    assert used <= published


def test_change_that_is_taken_back_is_a_new_version():
    mesh = mesh_of(library("1"))
    pushed(mesh, library("2"))
    end = pushed(mesh, library("1"))
    assert changes(end) == dict.fromkeys(("lib", *STATIC, "card"), ("1+cb1", "1+cb2"))
    again = pushed(mesh, library("1 # a comment"))
    assert (changes(again), versions(mesh)["app"]) == ({}, "1+cb2")


def test_next_version_of_the_maintainer_has_no_suffix():
    mesh = mesh_of(unit_files("pkg", content="a"))
    assert changes(pushed(mesh, unit_files("pkg", content="b"))) == {"pkg": ("1", "1+cb1")}
    assert changes(pushed(mesh, unit_files("pkg", content="c @2"))) == {"pkg": ("1+cb1", "2")}
    assert changes(pushed(mesh, unit_files("pkg", content="d @2"))) == {"pkg": ("2", "2+cb1")}


def test_version_that_goes_down_is_reported():
    mesh = mesh_of(unit_files("pkg", content="a @2"))
    [job] = pushed(mesh, unit_files("pkg", content="b @1")).jobs
    assert (job.replaced_version, job.source_version, versions(mesh)) == ("2", "1", {"pkg": "1"})
    assert job.notes == ("the version goes down: pkg 2 → 1; machines with the higher version keep it",)


def test_package_whose_version_never_changes_fails_and_is_not_published():
    mesh = mesh_with(unit_files("pkg", content="a"))
    build = mesh.builder.build
    mesh.builder.build = lambda assignment, log, cancel: build(
        assignment.model_copy(update={"rebuild": None}), log, cancel
    )
    mesh.request(all=True, id="first")
    mesh.finished("first")
    before = contents_by_version(mesh)
    [job] = pushed(mesh, unit_files("pkg", content="b")).jobs
    assert (job.outcome, job.code) == (Outcome.FAILURE, "published-version")
    assert "pkg 1 (amd64) is published with other contents" in job.message
    assert len(mesh.builder.assignments) == 2
    assert contents_by_version(mesh) == before


def test_second_build_is_retried_with_its_version_after_an_error():
    outcomes = iter([Outcome.SUCCESS, Outcome.SUCCESS, Outcome.ERROR, Outcome.SUCCESS])
    mesh = mesh_of(unit_files("pkg", content="a"), build=lambda *_: next(outcomes))
    end = pushed(mesh, unit_files("pkg", content="b"))
    assert changes(end) == {"pkg": ("1", "1+cb1")}
    numbers = [assignment.rebuild.number for assignment in mesh.builder.assignments]
    assert numbers == [0, 1, 1]


def test_killed_scheduler_goes_on_with_the_second_build():
    mesh = mesh_of(unit_files("pkg", content="a"))
    mesh.git.repository("memory:demo").commit(unit_files("pkg", content="b"))
    mesh.until(lambda: len(mesh.builder.assignments) > 1)
    mesh.kill("scheduler")
    mesh.until(lambda: len(mesh.events(e.AttemptFinished)) == 2)
    mesh.start("scheduler")
    mesh.until(lambda: versions(mesh) == {"pkg": "1+cb1"})
    assert [one.rebuild and one.rebuild.number for one in mesh.builder.assignments] == [None, 0, 1]


def test_reading_all_topics_again_builds_nothing():
    mesh = mesh_of(library("1"))
    pushed(mesh, library("2"))
    mesh.wait(5)
    before = mesh.sizes(), contents_by_version(mesh), len(mesh.builder.assignments)
    mesh.rewind()
    mesh.wait(5)
    assert (mesh.sizes(), contents_by_version(mesh), len(mesh.builder.assignments)) == before


def test_result_of_a_topic_branch_gets_the_next_version_when_merged():
    mesh = mesh_of(unit_files("pkg", content="a"))
    repository = mesh.git.repository("memory:demo")
    repository.commit(unit_files("pkg", content="b"), branch="topic")
    mesh.request("packages/pkg", id="topic", ref="topic")
    [job] = mesh.finished("topic").jobs
    assert (job.source_version, job.replaced_version, versions(mesh)) == ("1", "", {"pkg": "1"})
    assert changes(pushed(mesh, unit_files("pkg", content="b"))) == {"pkg": ("1", "1+cb1")}
    assert len(mesh.builder.assignments) == 1


def test_last_round_of_a_cycle_is_stable_with_the_next_version():
    def files(content: str) -> dict[str, bytes]:
        chicken = unit_files("chicken", "egg <!nocheck>", content=content)
        return chicken | unit_files("egg", "chicken", content="1")

    mesh = mesh_of(files("1"))
    end = pushed(mesh, files("2"))
    assert (end.outcome, end.message) == (RequestOutcome.SUCCESS, "")
    assert versions(mesh) == {"chicken": "1+cb1", "egg": "1"}


def repository_of(mesh: MemoryMesh):
    return mesh.git.repository("memory:demo")


@pytest.fixture
def moved_on() -> tuple[MemoryMesh, str]:
    """Returns a mesh that has published two commits, and the first of them."""
    mesh = mesh_of(unit_files("pkg", content="a"))
    first = repository_of(mesh).branches["main"]
    pushed(mesh, unit_files("pkg", content="b"))
    return mesh, first


def test_older_commit_can_be_fetched_and_the_repository_stays(moved_on):
    mesh, first = moved_on
    before = mesh.repositories.live("demo-bookworm")
    head = repository_of(mesh).branches["main"]
    mesh.request("packages/pkg", id="older", ref=first)
    end = mesh.finished("older")
    [job] = end.jobs
    assert (end.outcome, job.outcome, job.source_version) == (RequestOutcome.SUCCESS, Outcome.REUSED, "1")
    assert job.artifacts[0].sha256 in mesh.store.objects
    assert job.notes[0].startswith(f"not published, because the repository has those of the newer commit {head[:10]}")
    assert (mesh.repositories.live("demo-bookworm"), versions(mesh)) == (before, {"pkg": "1+cb1"})


def test_older_commit_is_published_on_purpose_with_a_higher_version(moved_on):
    mesh, first = moved_on
    mesh.request("packages/pkg", id="back", ref=first, publish_older=True)
    assert changes(mesh.finished("back")) == {"pkg": ("1+cb1", "1+cb2")}
    assert versions(mesh) == {"pkg": "1+cb2"}
    assert changes(pushed(mesh, unit_files("pkg", content="c"))) == {"pkg": ("1+cb2", "1+cb3")}


def test_older_commit_is_not_published_while_a_newer_one_is_being_built():
    is_open = []
    mesh = mesh_with(unit_files("pkg", content="a"), runners=2, build=lambda *_: _wait(is_open))
    first = repository_of(mesh).branches["main"]
    repository_of(mesh).commit(unit_files("pkg", content="b"))
    mesh.request("packages/pkg", id="newer")
    mesh.until(lambda: mesh.builder.assignments)
    mesh.request("packages/pkg", id="older", ref=first)
    mesh.until(lambda: len(mesh.builder.assignments) == 2)
    is_open.append(True)
    assert mesh.finished("newer").jobs[0].notes == ()
    assert "not published" in mesh.finished("older").jobs[0].notes[0]
    [listed] = mesh.repositories.snapshots["demo-bookworm"][mesh.repositories.live("demo-bookworm")].packages["amd64"]
    assert b" b " in mesh.store.objects[listed.sha256]


def _wait(is_open: list[bool]) -> Outcome:
    until(lambda: is_open, "the test never let the builds go on")
    return Outcome.SUCCESS


def test_commit_outside_of_the_followed_branch_cannot_be_published(moved_on):
    mesh, _ = moved_on
    repository_of(mesh).commit(unit_files("pkg", content="x"), branch="topic")
    mesh.request("packages/pkg", id="topic", ref="topic", publish_older=True)
    end = mesh.finished("topic")
    assert (end.outcome, end.code) == (RequestOutcome.REJECTED, "not-on-branch")
    assert "is not on main, so its packages cannot be published" in end.message


def test_suffix_of_the_source_is_used_for_the_next_version():
    mesh = mesh_of(unit_files("pkg", content="a"))
    mesh.send(e.SourceAddRequested(source="demo", url="memory:demo", rebuild_suffix="build{n}"))
    mesh.until(lambda: mesh.events(e.SourceRevised)[-1].rebuild_suffix == "build{n}")
    assert changes(pushed(mesh, unit_files("pkg", content="b"))) == {"pkg": ("1", "1build1")}


def test_plan_builds_what_needs_another_version(moved_on):
    mesh, first = moved_on
    mesh.request("packages/pkg", id="back", ref=first, publish_older=True, plan=True)
    mesh.request("packages/pkg", id="fetch", ref=first, plan=True)
    mesh.until(lambda: len(mesh.events(e.PlanDrawn)) == 2)
    verdicts = {plan.request_id: plan.jobs[0].verdict for plan in mesh.events(e.PlanDrawn)}
    assert verdicts == {"back": e.PlanVerdict.BUILD, "fetch": e.PlanVerdict.REUSED}
