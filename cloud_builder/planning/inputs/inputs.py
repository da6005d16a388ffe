"""The inputs of a job: whether it may start, the artifacts that it is built with, and its input key.

The key has everything that can change the output, and nothing else: only jobs with changed inputs are built.
Dependencies count by the digests of their artifacts. If a rebuilt dependency is equal to the last one, the keys of its
dependants do not change, and the cascade ends.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from cloud_builder.model.artifact import Artifact
from cloud_builder.model.ids import InputKey, SourceName, UnitPath
from cloud_builder.model.inputs import Inputs, UsedArtifact
from cloud_builder.model.outcome import UNCHANGED, Outcome
from cloud_builder.planning.attempt import transitions
from cloud_builder.planning.records import BuildResult, JobRecord, PublishedPackage
from cloud_builder.planning.relations import Alternative

from .artifacts import RequestArtifacts
from .closure import closure

RECIPE_VERSION = 3
"""Increase it when runners make other bytes of the same inputs than before."""

_canonical = json.JSONEncoder(sort_keys=True).encode


class Readiness(StrEnum):
    """The next step of a job, which follows from its needs."""

    WAIT = "wait"
    START = "start"
    SKIP = "skip"
    CANCEL = "cancel"


@dataclass(frozen=True)
class Dependencies:
    """The built artifacts that a job is built with, and the unit that each is of."""

    artifacts: tuple[Artifact, ...]
    used: tuple[UsedArtifact, ...]


def readiness(needs: Iterable[JobRecord]) -> tuple[Readiness, tuple[JobRecord, ...]]:
    """Returns the next step of a job and the needs that are the reason. `needs`: the jobs that it needs directly."""
    jobs = tuple(needs)
    failed = tuple(job for job in jobs if job.is_finished and not job.is_good)
    if failed:
        all_canceled = all(job.outcome is Outcome.CANCELED for job in failed)
        return (Readiness.CANCEL if all_canceled else Readiness.SKIP), failed
    waiting = tuple(job for job in jobs if not job.is_finished)
    return (Readiness.WAIT, waiting) if waiting else (Readiness.START, ())


def dependencies(
    job: JobRecord, artifacts: RequestArtifacts, published: Callable[[str], Iterable[PublishedPackage]]
) -> Dependencies:
    """Returns the built artifacts for a job: of its own request, else the newest published ones of other sources.

    A package can depend on another one that is not known before its build (`${perl:Depends}`), so that no job waits for
    it. Then the newest published one is taken, also of the same source: never one of the distribution.
    A member of a dependency cycle may also be built with the published packages of its own source, because the
    artifacts of the cycle that it needs do not exist yet. If no artifact has a version that fits a relation, the
    package manager takes the package of the distribution.

    `artifacts`: the artifacts of the job's request.
    `published(name)`: the newest published binary package of that name for the job's target, and those that provide it.
    """
    origins: dict[str, tuple[SourceName, UnitPath]] = {}

    def find(alternative: Alternative) -> Artifact | None:
        own = artifacts.find(job, alternative)
        if own is not None:
            artifact, producer = own
            origins[artifact.sha256] = (producer.source, producer.unit)
            return artifact
        return find_published(alternative, lambda package: package.source != job.source or job.round > 0)

    def find_published(alternative: Alternative, is_allowed: Callable[[PublishedPackage], bool]) -> Artifact | None:
        allowed = filter(is_allowed, published(alternative.name))
        package = next((package for package in allowed if alternative.is_met_by(package.artifact)), None)
        if package is None:
            return None
        origins.setdefault(package.artifact.sha256, (package.source, package.unit))
        return package.artifact

    def find_unplanned(alternative: Alternative) -> Artifact | None:
        return find_published(alternative, lambda package: package.unit != job.unit)

    used = closure(job.build_depends, job.target.arch, find, profiles=job.profiles, find_unplanned=find_unplanned)
    return Dependencies(used, tuple(_used(artifact, *origins[artifact.sha256]) for artifact in used))


def _used(artifact: Artifact, source: SourceName, unit: UnitPath) -> UsedArtifact:
    assert artifact.package is not None
    return UsedArtifact(name=artifact.package.name, sha256=artifact.sha256, source=source, unit=unit)


def inputs_of(job: JobRecord, used: Iterable[UsedArtifact]) -> Inputs:
    """Returns all inputs of a job. The unit's directory, the requester and the time are no inputs."""
    return Inputs.construct_unchecked(
        recipe=RECIPE_VERSION,
        tree=job.tree,
        buildroot=job.buildroot,
        repositories=job.repositories,
        unverified=job.unverified,
        profiles=job.profiles,
        build_options=job.build_options,
        dependencies=tuple(used),
    )


def input_key(job: JobRecord, inputs: Inputs) -> InputKey:
    """Returns the sha256 of the inputs (`inputs_of` the job), the name and the target.

    `profiles` and `build_options` are left out when empty."""
    parts: dict[str, object] = {
        "recipe": inputs.recipe,
        "name": job.name,
        "tree": inputs.tree,
        "target": [job.target.name, job.target.dist, job.target.arch],
        "buildroot": inputs.buildroot,
        "repositories": inputs.repositories,
        "dependencies": sorted(used.sha256 for used in inputs.dependencies),
    }
    if inputs.profiles:
        parts["profiles"] = sorted(inputs.profiles)
    if inputs.build_options:
        parts["build_options"] = sorted(inputs.build_options)
    return InputKey(hashlib.sha256(_canonical(parts).encode()).hexdigest())


def reuse_result(job: JobRecord, result: BuildResult) -> JobRecord:
    """Returns a job whose input key was built before: reused if the request names it, else unchanged.

    A further round of a cycle is unchanged, too."""
    reused = transitions.reuse(job, result).model_copy(update={"saved": result.seconds})
    if job.is_requested and job.round <= 1:
        return reused
    unchanged = {"outcome": Outcome.SKIPPED, "code": UNCHANGED, "message": "its inputs have not changed"}
    return reused.model_copy(update=unchanged)
