"""When a job may start, what it builds with, and the input key that follows.

The key holds everything that can change the output and nothing else (design: rebuild only what changed). Dependencies
count by the digests of their artifacts, so that an output equal to the last one ends the cascade.
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

RECIPE_VERSION = 1
"""Raise it when a runner would make other bytes of the same inputs."""


_canonical = json.JSONEncoder(sort_keys=True).encode


class Readiness(StrEnum):
    """What the needs of a job allow."""

    WAIT = "wait"
    START = "start"
    SKIP = "skip"
    CANCEL = "cancel"


@dataclass(frozen=True)
class Dependencies:
    """The artifacts of ours that a job builds with, and who made each."""

    artifacts: tuple[Artifact, ...]
    used: tuple[UsedArtifact, ...]


def readiness(needs: Iterable[JobRecord]) -> tuple[Readiness, tuple[JobRecord, ...]]:
    """What may happen now, and the jobs that are the reason."""
    jobs = tuple(needs)
    bad = tuple(job for job in jobs if job.is_finished and not job.is_good)
    if bad:
        canceled = all(job.outcome is Outcome.CANCELED for job in bad)
        return (Readiness.CANCEL if canceled else Readiness.SKIP), bad
    waiting = tuple(job for job in jobs if not job.is_finished)
    return (Readiness.WAIT, waiting) if waiting else (Readiness.START, ())


def dependencies(
    job: JobRecord, made: RequestArtifacts, offers: Callable[[str], Iterable[PublishedPackage]]
) -> Dependencies:
    """The exact artifacts of ours for a job: of its request first, else the newest published of other sources.

    A member of a dependency cycle may also be built with what its own source has published: what it needs of the cycle
    is not there yet. What of ours has no version that a relation asks for is not given: the package manager takes the
    distribution's. `made`: what its request has made; `offers(name)`: for the job's target, the newest published binary
    package of that name, and those that provide it."""
    origins: dict[str, tuple[SourceName, UnitPath]] = {}

    def find(alternative: Alternative) -> Artifact | None:
        own = made.find(job, alternative)
        if own is not None:
            artifact, maker = own
            origins[artifact.sha256] = (maker.source, maker.unit)
            return artifact
        known = (each for each in offers(alternative.name) if each.source != job.source or job.round)
        other = next((each for each in known if alternative.is_met_by(each.artifact)), None)
        if other is None:
            return None
        origins.setdefault(other.artifact.sha256, (other.source, other.unit))
        return other.artifact

    artifacts = closure(job.build_depends, job.target.arch, find, profiles=job.profiles)
    return Dependencies(artifacts, tuple(_used(each, *origins[each.sha256]) for each in artifacts))


def _used(artifact: Artifact, source: SourceName, unit: UnitPath) -> UsedArtifact:
    assert artifact.package is not None
    return UsedArtifact(name=artifact.package.name, sha256=artifact.sha256, source=source, unit=unit)


def inputs_of(job: JobRecord, used: Iterable[UsedArtifact]) -> Inputs:
    """Everything that goes in. Not in it: where the unit lies, who asked, and when."""
    return Inputs.construct_unchecked(
        recipe=RECIPE_VERSION,
        tree=job.tree,
        buildroot=job.buildroot,
        repositories=job.repositories,
        profiles=job.profiles,
        dependencies=tuple(used),
    )


def input_key(job: JobRecord, inputs: Inputs) -> InputKey:
    """sha256 of what goes in (`inputs_of` the job), and of what the job is named and for. Keys of jobs without profiles
    are as they were before there were any."""
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
    return InputKey(hashlib.sha256(_canonical(parts).encode()).hexdigest())


def reuse_result(job: JobRecord, built: BuildResult) -> JobRecord:
    """A job whose input key was built before: one that was asked for is reused; one that was drawn in, or is a further
    round of a cycle, was not touched."""
    done = transitions.reuse(job, built).model_copy(update={"saved": built.seconds})
    if job.is_requested and job.round <= 1:
        return done
    told = {"outcome": Outcome.SKIPPED, "code": UNCHANGED, "message": "its inputs are what they were"}
    return done.model_copy(update=told)
