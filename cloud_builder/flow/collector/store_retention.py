"""Deletes objects that nobody has used for long from the object store.

Every good job, also one that was reused or is unchanged, counts as a use of its artifacts and its log. Objects of
published packages stay as long as they are published. Each call looks at one of 256 parts of the store.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from cloud_builder.model.artifact import Artifact
from cloud_builder.model.events import JobFinished
from cloud_builder.model.repository import RepositoryEntry
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.store import ObjectStore

_LOG = logging.getLogger("cb.collector")
_PARTS = 256
PRUNE_INTERVAL = 300.0
"""Seconds between two parts; all parts take 21 hours."""
DAY = 86400.0


class StoreRetention:
    """`seconds`: how long an object is kept after its last use; 0: for ever."""

    def __init__(self, store: ObjectStore, seconds: float) -> None:
        self._store, self._seconds = store, seconds
        self._part = 0
        self._not_before = 0.0
        self._may_prune = seconds > 0

    def on_job_finished(self, job: JobFinished) -> None:
        """Counts as a use of all objects of a good job."""
        if self._may_prune and job.is_good:
            self._touch([*job.artifacts, *([job.log] if job.log else [])])

    def prune(self, work: UnitOfWork, entries: Iterable[RepositoryEntry]) -> None:
        """Prunes the next part of the store, if it is time. `entries`: all builds that are, or may be, published."""
        if not self._may_prune or self._not_before - PRUNE_INTERVAL <= work.now < self._not_before:
            return
        self._not_before = work.now + PRUNE_INTERVAL
        if not work.caught_up:
            return
        prefix = f"{self._part:02x}"
        self._part = (self._part + 1) % _PARTS
        keep = {file.sha256 for entry in entries for file in _files(entry)}
        freed = self._store.prune(prefix, work.now - self._seconds, keep)
        if freed:
            _LOG.info("pruned objects", extra={"part": prefix, "bytes": freed})

    def _touch(self, files: Iterable[Artifact]) -> None:
        """Stops pruning when an object of another user cannot be touched: it would be deleted while it is used."""
        if not all(self._store.touch(file.sha256) for file in files):
            self._may_prune = False
            _LOG.warning("objects are kept for ever: they belong to another user, so their use cannot be recorded")


def _files(entry: RepositoryEntry) -> Iterable[Artifact]:
    return (*entry.packages, *(entry.source.files if entry.source is not None else ()))
