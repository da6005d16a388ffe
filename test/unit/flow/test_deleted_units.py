"""A push deletes a unit: what was built with it is built again, and its failure names the deletion."""

from __future__ import annotations

from cloud_builder.model import events as e
from cloud_builder.model.outcome import Outcome, RequestOutcome
from cloud_builder.model.unit import DeletedUnit
from support.factories import unit, unit_files
from support.memory_mesh import MemoryMesh
from support.scheduler_harness import SchedulerHarness

LIB = DeletedUnit(path="p/lib", provides=("lib",))
BEFORE = unit_files("lib") | unit_files("app", "lib") | unit_files("other")
AFTER = unit_files("app", "lib") | unit_files("other")


def after_deletion() -> SchedulerHarness:
    """Returns a scheduler that has received the deletion of `lib`."""
    harness = SchedulerHarness()
    harness.deliver(*harness.heartbeats(), harness.snapshot(unit("app", "lib"), revision="b"))
    harness.deliver(harness.request(id="push", revision="b", deleted=(LIB,), dependants=True))
    return harness


def test_failure_for_lack_of_a_deleted_package_names_the_commit() -> None:
    harness = after_deletion()
    [assignment] = harness.assignments["r1"]
    message = "unmet build dependencies: lib"
    harness.deliver(harness.report(assignment, Outcome.FAILURE, step="dependencies", message=message))
    [job] = harness.result("push").jobs
    assert job.message.splitlines() == [message, "lib was a package of p/lib, which was deleted from s at bbbbbbbbbb"]


def test_failure_that_names_other_packages_is_left_alone() -> None:
    harness = after_deletion()
    [assignment] = harness.assignments["r1"]
    harness.deliver(harness.report(assignment, Outcome.FAILURE, message="liblib is missing"))
    assert harness.result("push").jobs[0].message == "liblib is missing"


def test_deletion_that_concerns_no_unit_is_a_success_without_jobs() -> None:
    harness = SchedulerHarness()
    harness.deliver(*harness.heartbeats(), harness.snapshot(unit("app"), revision="b"))
    harness.deliver(harness.request(id="push", revision="b", deleted=(LIB,), dependants=True))
    result = harness.result("push")
    assert (result.outcome, result.jobs) == (RequestOutcome.SUCCESS, ())
    assert "p/lib" in result.message


def test_push_that_deletes_a_library_builds_its_dependants() -> None:
    mesh = MemoryMesh(BEFORE)
    mesh.request("app")
    mesh.finished()
    mesh.git.repository("memory:demo").commit(AFTER)
    mesh.until(lambda: len(mesh.events(e.RequestFinished)) == 2)
    assert [assignment.name for assignment in mesh.first_builds()] == ["lib", "app", "app"]
    assert [package.name for package in mesh.builder.assignments[-1].dependencies] == []


def test_manifest_in_a_directory_that_cannot_be_a_unit_was_no_unit() -> None:
    mesh = MemoryMesh(BEFORE)
    mesh.request("app")
    mesh.finished()
    manifest = BEFORE["projects/packages/lib/.cb/cloud_builder.yml"]
    bad = {f"projects/packages/{name}/.cb/cloud_builder.yml": manifest for name in ("a b", "\udcff")}
    mesh.git.repository("memory:demo").commit(BEFORE | bad | unit_files("other", content="new"))
    mesh.until(lambda: len(mesh.events(e.RequestFinished)) == 2)
    mesh.git.repository("memory:demo").commit(BEFORE | unit_files("other", content="newer"))
    mesh.until(lambda: len(mesh.events(e.RequestFinished)) == 3)
    assert [accepted.deleted for accepted in mesh.events(e.RequestAccepted)] == [()] * 3
