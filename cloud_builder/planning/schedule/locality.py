"""Computes how many seconds the caches of a runner save for a job (locality).

Runners announce the cache keys of what they have; the scheduler computes the same keys for a job. Both use the
functions of this module. Locality only decides between runners with a free slot: no job waits for a runner with more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache

from cloud_builder.model.capacity import Capacity
from cloud_builder.planning.records import JobRecord, RunnerRecord

ROOT_SECONDS, LAYER_SECONDS, SOURCE_SECONDS = 15.0, 6.0, 3.0
"""Seconds that it takes to unpack a build root that is in the store, to resolve and install build dependencies, and
to clone a source."""
SPECIAL_RUNNER_PENALTY = 1.0
"""Seconds that count against a runner with kvm or tags for a job that asks for neither, so that such runners stay free
for the jobs that need them."""


@lru_cache(maxsize=4096)
def root_cache_key(buildroot: str, target: str, repositories: str) -> str:
    """Returns the cache key of a build root: its description (a sha256), the target, the state of its package
    repositories."""
    return _cache_key([buildroot, target, repositories])


def layer_cache_key(root: str, source: str, unit: str, dependencies: Iterable[str]) -> str:
    """Returns the cache key of a unit's dependency layer on a build root.

    `dependencies`: the sha256 of each artifact in it that was built by this mesh."""
    return _cache_key([root, source, unit, *sorted(dependencies)])


def seconds_saved(job: JobRecord, runner: RunnerRecord) -> float:
    """Returns how many seconds earlier the job finishes there than on a runner with empty caches."""
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


def _cache_key(parts: list[str]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
