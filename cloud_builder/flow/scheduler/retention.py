"""Deletes old documents: finished requests with their jobs, cancels of requests that never came, unused build results.

The result of a package's newest published build counts as used: a unit that is not changed for long is not built again.
Deletes a limited number of documents at a time, so that no tick is long; the mesh sends each deletion to `cb.state` as
a tombstone. Must not delete: open requests and their jobs, published packages (`published-packages`,
`package-providers`) and their versions (`published-versions`: none may get other contents later), source snapshots,
counters.

The rank of a finished request, a cancel and a build result is the time from which its retention counts.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from cloud_builder.model.ids import InputKey, RequestId
from cloud_builder.planning.records import BuildResult
from cloud_builder.ports.mesh import UnitOfWork

from . import job_store
from .build_results import RESULTS
from .config import SchedulerConfig
from .state import CANCELED, REQUESTS, SchedulerState

MAX_PER_TICK = 300
"""Documents deleted in one tick."""
RETRY_SOON, RETRY_LATER = 1.0, 60.0
"""Seconds until the next run, after one that deleted something and after one that did not."""
_LOG = logging.getLogger("cb.scheduler")


class Retention:
    """Deletes what is older than the retention times of the configuration."""

    def __init__(self, config: SchedulerConfig) -> None:
        self._config = config
        self._not_before = 0.0

    def prune(self, state: SchedulerState, work: UnitOfWork) -> None:
        """Deletes up to a few hundred documents, if the time of the next run has come."""
        if self._not_before - RETRY_LATER <= work.now < self._not_before:
            return
        deleted = _prune_requests(work, work.now - self._config.request_retention)
        deleted += _prune_cancels(work, work.now - self._config.request_retention)
        deleted += _prune_results(state, work, work.now - self._config.result_retention)
        if deleted:
            _LOG.debug("pruned", extra={"documents": deleted})
        self._not_before = work.now + (RETRY_SOON if deleted else RETRY_LATER)


def _prune_requests(work: UnitOfWork, before: float) -> int:
    """Deletes finished requests, each after the last of its jobs."""
    deleted = 0
    for key, _ in list(work.documents.find(REQUESTS, parent="done", before=before, most=20)):
        deleted += job_store.prune(work, RequestId(key), MAX_PER_TICK - deleted)
        if deleted >= MAX_PER_TICK:
            return deleted
        work.documents.delete(REQUESTS, key)
        deleted += 1
    return deleted


def _prune_cancels(work: UnitOfWork, before: float) -> int:
    keys = [key for key, _ in work.documents.find(CANCELED, before=before, most=MAX_PER_TICK)]
    for key in keys:
        work.documents.delete(CANCELED, key)
    return len(keys)


def _prune_results(state: SchedulerState, work: UnitOfWork, before: float) -> int:
    """Deletes build results that are neither used nor published. Renews the time of a published result."""
    found = list(work.documents.find(RESULTS, before=before, most=MAX_PER_TICK))
    targets = state.catalog.targets(work.documents) if found else ()
    for key, body in found:
        if _is_published(state, work, InputKey(key), BuildResult.model_validate(body), targets):
            work.documents.put(RESULTS, key, {**body, "used_at": work.now}, rank=work.now)
        else:
            work.documents.delete(RESULTS, key)
    return len(found)


def _is_published(
    state: SchedulerState, work: UnitOfWork, key: InputKey, result: BuildResult, targets: Collection[str]
) -> bool:
    """True if a package of the result is the newest published one for any target. A package with the same bytes from
    another input key does not count."""
    packages = [
        (artifact.package.name, artifact.sha256) for artifact in result.artifacts if artifact.package is not None
    ]
    newest = (
        (state.published.newest(work.documents, target, name), digest)
        for name, digest in packages
        for target in targets
    )
    return any(
        package is not None and package.input_key == key and package.artifact.sha256 == digest
        for package, digest in newest
    )
