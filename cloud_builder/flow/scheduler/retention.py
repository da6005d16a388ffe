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
from cloud_builder.planning.records import Built
from cloud_builder.ports.mesh import Work

from . import job_store
from .state import World

DAY = 86400.0
MOST = 300
"""Documents deleted in one go."""
SOON, LATER = 1.0, 60.0
_LOG = logging.getLogger("cb.scheduler")


class Retention:
    """`keep`, `keep_built`: days (settings.SchedulerSettings)."""

    def __init__(self, keep: float, keep_built: float) -> None:
        self._keep, self._keep_built = keep * DAY, keep_built * DAY
        self._not_before = 0.0

    def forget(self, world: World, work: Work) -> None:
        """A few hundred documents, when it is time to look."""
        if self._not_before - LATER <= work.now < self._not_before:
            return
        gone = _requests(work, work.now - self._keep)
        gone += _canceled(work, work.now - self._keep)
        gone += _built(world, work, work.now - self._keep_built)
        if gone:
            _LOG.debug("forgotten", extra={"documents": gone})
        self._not_before = work.now + (SOON if gone else LATER)


def _requests(work: Work, before: float) -> int:
    """A request goes after the last of its jobs."""
    gone = 0
    for key, body in list(work.state.find("requests", parent="done", before=before, most=20)):
        if max(body.get("finished_at", 0.0), body["accepted_at"]) >= before:
            continue  # written down before the end of a request was
        gone += job_store.forget(work, RequestId(key), MOST - gone)
        if gone >= MOST:
            return gone
        work.state.delete("requests", key)
        gone += 1
    return gone


def _canceled(work: Work, before: float) -> int:
    keys = [key for key, _ in work.state.find("canceled", before=before, most=MOST)]
    for key in keys:
        work.state.delete("canceled", key)
    return len(keys)


def _built(world: World, work: Work, before: float) -> int:
    """A key of before its last use was written down counts from today, and so does what is current."""
    found = list(work.state.find("built", before=before, most=MOST))
    targets = world.atlas.targets(work.state) if found else ()
    for key, body in found:
        if body.get("used_at") and not _is_current(world, work, InputKey(key), Built.model_validate(body), targets):
            work.state.delete("built", key)
        else:
            work.state.put("built", key, {**body, "used_at": work.now}, rank=work.now)
    return len(found)


def _is_current(world: World, work: Work, key: InputKey, built: Built, targets: Collection[str]) -> bool:
    """Whether one of its packages, for any target, is published as what the key led to. The same bytes, made of older
    inputs, are no reason to keep those."""
    packages = [(one.package.name, one.sha256) for one in built.artifacts if one.package is not None]
    offers = ((world.offer(work.state, target, name), digest) for name, digest in packages for target in targets)
    return any(
        offer is not None and (offer.input_key or key) == key and offer.artifact.sha256 == digest
        for offer, digest in offers
    )
