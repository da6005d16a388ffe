"""What the scheduler forgets: requests that ended long ago with their jobs, cancels of requests that never came, and
what input keys led to that nobody used for long. What is published as the newest build of a unit counts as used: a unit
that nobody touches is not built again for that.

Little by little, so that no tick is long. What is deleted leaves cb.state, too (the mesh tells it as tombstones). Never
touched: open requests and jobs, what other sources build with (`offers`, `provided`), snapshots, counters.

The rank of a finished request, a cancel and a built key is the time from which it is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from cloud_builder.model.ids import InputKey, RequestId
from cloud_builder.planning.records import BuildResult
from cloud_builder.ports.mesh import UnitOfWork

from . import job_store
from .config import SchedulerConfig
from .state import SchedulerState

MAX_PER_TICK = 300
"""Documents deleted in one go."""
RETRY_SOON, RETRY_LATER = 1.0, 60.0
_LOG = logging.getLogger("cb.scheduler")


class Retention:
    """Deletes what is older than the retention times of the configuration."""

    def __init__(self, config: SchedulerConfig) -> None:
        self._config = config
        self._not_before = 0.0

    def forget(self, world: SchedulerState, work: UnitOfWork) -> None:
        """A few hundred documents, when it is time to look."""
        if self._not_before - RETRY_LATER <= work.now < self._not_before:
            return
        gone = _requests(work, work.now - self._config.request_retention)
        gone += _canceled(work, work.now - self._config.request_retention)
        gone += _built(world, work, work.now - self._config.result_retention)
        if gone:
            _LOG.debug("forgotten", extra={"documents": gone})
        self._not_before = work.now + (RETRY_SOON if gone else RETRY_LATER)


def _requests(work: UnitOfWork, before: float) -> int:
    """A request goes after the last of its jobs."""
    gone = 0
    for key, body in list(work.documents.find("requests", parent="done", before=before, most=20)):
        if max(body.get("finished_at", 0.0), body["accepted_at"]) >= before:
            continue  # written down before the end of a request was
        gone += job_store.prune(work, RequestId(key), MAX_PER_TICK - gone)
        if gone >= MAX_PER_TICK:
            return gone
        work.documents.delete("requests", key)
        gone += 1
    return gone


def _canceled(work: UnitOfWork, before: float) -> int:
    keys = [key for key, _ in work.documents.find("canceled", before=before, most=MAX_PER_TICK)]
    for key in keys:
        work.documents.delete("canceled", key)
    return len(keys)


def _built(world: SchedulerState, work: UnitOfWork, before: float) -> int:
    """A key of before its last use was written down counts from today, and so does what is current."""
    found = list(work.documents.find("built", before=before, most=MAX_PER_TICK))
    targets = world.atlas.targets(work.documents) if found else ()
    for key, body in found:
        if body.get("used_at") and not _is_current(
            world, work, InputKey(key), BuildResult.model_validate(body), targets
        ):
            work.documents.delete("built", key)
        else:
            work.documents.put("built", key, {**body, "used_at": work.now}, rank=work.now)
    return len(found)


def _is_current(
    world: SchedulerState, work: UnitOfWork, key: InputKey, built: BuildResult, targets: Collection[str]
) -> bool:
    """Whether one of its packages, for any target, is published as what the key led to. The same bytes, made of older
    inputs, are no reason to keep those."""
    packages = [(one.package.name, one.sha256) for one in built.artifacts if one.package is not None]
    offers = (
        (world.published_package(work.documents, target, name), digest)
        for name, digest in packages
        for target in targets
    )
    return any(
        offer is not None and (offer.input_key or key) == key and offer.artifact.sha256 == digest
        for offer, digest in offers
    )
