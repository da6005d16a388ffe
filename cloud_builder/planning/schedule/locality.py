"""What a runner has already that a job will need, in seconds that it saves there.

Runners announce words, the scheduler makes the same words of a job: both by the functions of this page. Only a
tie-break among runners with a free slot: no job waits for a runner that has more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache

from cloud_builder.model.capacity import Capacity
from cloud_builder.planning.records import JobRecord, RunnerRecord

ROOT_SECONDS, LAYER_SECONDS, SOURCE_SECONDS = 15.0, 6.0, 3.0
"""Seconds: unpacking a root that is in the store, solving and installing build dependencies, cloning."""
SPECIAL_RUNNER_PENALTY = 1.0
"""A runner with what few have is kept for those who ask for it, if nothing else speaks for it."""


@lru_cache(maxsize=4096)
def root_cache_key(buildroot: str, target: str, repositories: str) -> str:
    """The base root that a description (its sha256), a target and a state of the package repositories lead to."""
    return _word([buildroot, target, repositories])


def layer_cache_key(root: str, source: str, unit: str, dependencies: Iterable[str]) -> str:
    """The build dependencies of a unit on a root; `dependencies`: sha256 of the artifacts of ours."""
    return _word([root, source, unit, *sorted(dependencies)])


def seconds_saved(job: JobRecord, runner: RunnerRecord) -> float:
    """Seconds that the job is done earlier there than on a runner that has nothing."""
    seconds = 0.0 if _is_plain(runner.capacity) or not _is_plain(job.constraints) else -SPECIAL_RUNNER_PENALTY
    if job.source in runner.sources:
        seconds += SOURCE_SECONDS
    if runner.buildroots and job.buildroot:
        root = root_cache_key(job.buildroot, job.target.name, job.repositories or "")
        if root in runner.buildroots:
            seconds += ROOT_SECONDS
            used = (artifact.sha256 for artifact in job.dependencies)
            if runner.layers and layer_cache_key(root, job.source, job.unit, used) in runner.layers:
                seconds += LAYER_SECONDS
    return seconds


def _is_plain(capacity: Capacity) -> bool:
    return not capacity.kvm and not capacity.tags


def _word(parts: list[str]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
