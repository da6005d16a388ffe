"""What was used lately is written down: one document, every few seconds when it has changed, and at the end.

So whose turn it is stays so over a restart and for a standby, at no cost a job. What was used in the last seconds
before a crash is forgotten.
"""

from __future__ import annotations

from cloud_builder.model.frozen import CachedJson
from cloud_builder.planning.schedule.queue import JobQueue
from cloud_builder.planning.schedule.usage import UsageSnapshot
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

SAVE_INTERVAL = 10.0
"""Seconds between two writes."""
DOCUMENT_KEY = ("usage", "shares")
"""Collection and key."""


def restore(state: Documents, order: JobQueue) -> None:
    body = state.get(*DOCUMENT_KEY)
    if body is not None:
        order.restore_usage(UsageSnapshot.model_validate(body))


class UsageStore:
    """When it was written last."""

    def __init__(self) -> None:
        self._written: tuple[JobQueue, int] | None = None
        self._at = 0.0

    def keep(self, order: JobQueue, work: UnitOfWork, *, now: bool = False) -> None:
        """`now`: however short the last time is ago."""
        version = order.usage_version
        if not version or self._written == (order, version):
            return
        if now or not 0 <= work.now - self._at < SAVE_INTERVAL:
            work.documents.put(*DOCUMENT_KEY, CachedJson(order.usage()))
            self._written, self._at = (order, version), work.now
