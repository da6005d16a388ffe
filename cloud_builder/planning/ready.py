"""When a job may start, what it builds with, and the input key that follows.

The key holds everything that can change the output and nothing else (design: rebuild only what changed). Dependencies
count by the digests of their artifacts, so that an output equal to the last one ends the cascade.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum

from cloud_builder.model.artifact import Artifact
from cloud_builder.model.ids import InputKey, JobId
from cloud_builder.model.outcome import Outcome

from .records import JobRecord, Offer
from .relations import closure, provided

RECIPE_VERSION = 1
"""Raise it when a runner would make other bytes of the same inputs."""


_canonical = json.JSONEncoder(sort_keys=True).encode


class Readiness(StrEnum):
    """What the needs of a job allow."""

    WAIT = "wait"
    START = "start"
    SKIP = "skip"
    CANCEL = "cancel"


def readiness(needs: Iterable[JobRecord]) -> tuple[Readiness, tuple[JobRecord, ...]]:
    """What may happen now, and the jobs that are the reason."""
    jobs = tuple(needs)
    bad = tuple(job for job in jobs if job.is_finished and not (job.outcome and job.outcome.is_good))
    if bad:
        canceled = all(job.outcome is Outcome.CANCELED for job in bad)
        return (Readiness.CANCEL if canceled else Readiness.SKIP), bad
    waiting = tuple(job for job in jobs if not job.is_finished)
    return (Readiness.WAIT, waiting) if waiting else (Readiness.START, ())


def dependencies(
    job: JobRecord, jobs: Mapping[JobId, JobRecord], offer: Callable[[str], Offer | None]
) -> tuple[Artifact, ...]:
    """The exact artifacts of ours for a job: of its request first, else the newest published of other sources.

    `offer(name)`: the newest published binary package of that name for the job's target."""
    own = provided(artifact for need in _all_needs(job, jobs) for artifact in need.artifacts)

    def find(name: str) -> Artifact | None:
        if name in own:
            return own[name]
        other = offer(name)
        return other.artifact if other is not None and other.source != job.source else None

    return closure(job.build_depends, job.target.arch, find)


def _all_needs(job: JobRecord, jobs: Mapping[JobId, JobRecord]) -> list[JobRecord]:
    seen: dict[JobId, JobRecord] = {}
    todo = list(job.needs)
    while todo:
        key = todo.pop()
        if key not in seen:
            seen[key] = need = jobs[key]
            todo += need.needs
    return [seen[key] for key in sorted(seen)]


def input_key(job: JobRecord, artifacts: Iterable[Artifact]) -> InputKey:
    """sha256 of everything that goes in. Not in it: where the unit lies, who asked, and when."""
    inputs = {
        "recipe": RECIPE_VERSION,
        "name": job.name,
        "tree": job.tree,
        "target": [job.target.name, job.target.dist, job.target.arch],
        "buildroot": job.buildroot,
        "repositories": job.repositories,
        "dependencies": sorted(artifact.sha256 for artifact in artifacts),
    }
    return InputKey(hashlib.sha256(_canonical(inputs).encode()).hexdigest())
