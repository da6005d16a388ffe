"""Inputs of a job: readiness, dependencies, and input keys that stay stable."""

from __future__ import annotations

import hashlib

import pytest

from cloud_builder.model.inputs import UsedArtifact
from cloud_builder.model.outcome import JobState, Outcome
from cloud_builder.planning.attempt import transitions
from cloud_builder.planning.inputs.artifacts import RequestArtifacts
from cloud_builder.planning.inputs.inputs import (
    RECIPE_VERSION,
    Readiness,
    dependencies,
    input_key,
    inputs_of,
    readiness,
    reuse_result,
)
from cloud_builder.planning.records import BuildResult, PublishedPackage
from support.factories import deb, job

DEB = deb("a", digest="1" * 64)
BUILT = BuildResult(job_id="old.1", artifacts=(DEB,), seconds=30.0)


def key(job, used):
    return input_key(job, inputs_of(job, used))


def test_keys_of_builds_without_profiles_never_change():
    """A changed key would build every unit again after an upgrade that has the same recipe."""
    text = (
        '{"buildroot": null, "dependencies": ["' + "1" * 64 + '"], "name": "u", "recipe": '
        f'{RECIPE_VERSION}, "repositories": null, '
        '"target": ["bookworm.x86_64", "bookworm", "x86_64"], "tree": "' + "b" * 40 + '"}'
    )
    used = (UsedArtifact(name="a", sha256="1" * 64, source="s", unit="p/a"),)
    assert key(job(name="u"), used) == hashlib.sha256(text.encode()).hexdigest()
    assert key(job(), (used[0].model_copy(update={"source": "t", "unit": "x"}),)) == key(job(), used)
    assert key(job(profiles=("nocheck",)), used) != key(job(), used)
    assert inputs_of(job(profiles=("nocheck",)), used).profiles == ("nocheck",)
    assert len({key(job(**more), used) for more in ({}, {"profiles": ("a",)}, {"build_options": ("a",)})}) == 3


@pytest.mark.parametrize(
    ("record", "outcome", "code"),
    [
        (job(), Outcome.REUSED, ""),
        (job(round=1), Outcome.REUSED, ""),
        (job(is_requested=False), Outcome.SKIPPED, "unchanged"),
        (job(round=2), Outcome.SKIPPED, "unchanged"),
    ],
)
def test_job_whose_key_was_built_is_reused_or_unchanged_and_good(record, outcome, code):
    after = reuse_result(record, BUILT)
    assert (after.outcome, after.code, after.reused_from, after.artifacts, after.saved) == (
        outcome, code, "old.1", (DEB,), 30.0,
    )  # fmt: skip
    assert after.is_good
    assert readiness([after])[0] is Readiness.START


def test_job_that_is_skipped_because_of_failed_needs_is_not_good():
    after = transitions.skip(job(is_requested=False), ["p/lib"])
    assert (after.outcome, after.code, after.is_good) == (Outcome.SKIPPED, "dependency-failed", False)
    assert readiness([after])[0] is Readiness.SKIP


@pytest.mark.parametrize(
    ("source", "job_round", "used"),
    [("t", 0, ["a"]), ("s", 0, []), ("s", 1, ["a"])],
    ids=["other source", "own", "cycle"],
)
def test_published_packages_are_used_of_other_sources_and_in_a_cycle(source, job_round, used):
    package = PublishedPackage(artifact=DEB, source=source, unit="p/a", sequence=1)
    record = job(build_depends="a, libc6", round=job_round)
    found = dependencies(record, RequestArtifacts({}), {"a": [package], "libc6": []}.__getitem__)
    assert [each.name for each in found.used] == used
    assert all((each.source, each.unit) == (source, "p/a") for each in found.used)


@pytest.mark.parametrize(
    ("relation", "is_newer_built", "used"),
    [("a (>= 1)", False, "1"), ("a (>= 2)", False, ""), ("a (>= 2)", True, "2"), ("a (= 1)", True, "1")],
)
def test_only_a_version_that_fits_is_used(relation, is_newer_built, used):
    newer = DEB.model_copy(update={"sha256": "2" * 64, "package": DEB.package.model_copy(update={"version": "2"})})
    jobs = {"r.1": job(state=JobState.FINISHED, outcome=Outcome.SUCCESS, artifacts=(newer,))} if is_newer_built else {}
    artifacts = RequestArtifacts(jobs)
    for each in jobs.values():
        artifacts.add(each)
    record = job(2, build_depends=relation, needs=tuple(jobs))
    package = PublishedPackage(artifact=DEB, source="t", unit="p/a", sequence=1)
    assert [
        each.package.version for each in dependencies(record, artifacts, {"a": [package]}.__getitem__).artifacts
    ] == [*used]


def test_artifacts_of_the_request_are_preferred_to_published_ones():
    fresh = DEB.model_copy(update={"sha256": "2" * 64})
    done = {"state": JobState.FINISHED, "outcome": Outcome.SUCCESS, "artifacts": (fresh,)}
    jobs = {"r.1": job(**done)}
    artifacts = RequestArtifacts(jobs)
    artifacts.add(jobs["r.1"])
    record = job(2, build_depends="a", needs=("r.1",))
    package = PublishedPackage(artifact=DEB, source="t", unit="p/a", sequence=1)
    assert dependencies(record, artifacts, {"a": [package]}.__getitem__).artifacts == (fresh,)


@pytest.mark.parametrize(
    ("depends", "unit", "used"),
    [
        ("a (>= 1), perl", "p/a", ["a", "tool"]),
        ("debconf | a", "p/a", ["tool"]),
        ("a (>= 2)", "p/a", ["tool"]),
        ("a", "p/u2", ["tool"]),
    ],
    ids=["known after the build", "an alternative", "no version that fits", "of the job's own unit"],
)
def test_packages_of_the_same_source_are_used_for_unplanned_dependencies(depends, unit, used):
    """The job needs the unit of `tool`, whose package turned out to depend on another one."""
    done = {"state": JobState.FINISHED, "outcome": Outcome.SUCCESS, "artifacts": (deb("tool", depends=depends),)}
    jobs = {"r.1": job(**done)}
    artifacts = RequestArtifacts(jobs)
    artifacts.add(jobs["r.1"])
    package = PublishedPackage(artifact=DEB, source="s", unit=unit, sequence=1)
    found = dependencies(
        job(2, build_depends="tool", needs=("r.1",)), artifacts, lambda name: [package] if name == "a" else []
    )
    assert [each.name for each in found.used] == used
