"""Stores the recent use of slots, on which fair share depends, in one document.

Written every few seconds if it has changed, and at the end of the process: so shares survive a restart and a change of
the leader, at no cost for each job. A crash loses the use of the last seconds.
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


def restore(documents: Documents, queue: JobQueue) -> None:
    body = documents.get(*DOCUMENT_KEY)
    if body is not None:
        queue.restore_usage(UsageSnapshot.model_validate(body))


class UsageStore:
    """Writes the usage of a job queue, and remembers when that was done last."""

    def __init__(self) -> None:
        self._saved: tuple[JobQueue, int] | None = None
        self._saved_at = 0.0

    def save(self, queue: JobQueue, work: UnitOfWork, *, now: bool = False) -> None:
        """Writes the usage if it has changed and SAVE_INTERVAL has passed. `now`: does not wait for the interval."""
        version = queue.usage_version
        if not version or self._saved == (queue, version):
            return
        if now or not 0 <= work.now - self._saved_at < SAVE_INTERVAL:
            work.documents.put(*DOCUMENT_KEY, CachedJson(queue.usage()))
            self._saved, self._saved_at = (queue, version), work.now
