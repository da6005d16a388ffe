"""Publishes the repositories of a suite: all changes since the last snapshots become one snapshot of each.

It is published inside the transaction, before its commit: after a crash the same content is published again and makes
the same snapshot.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from cloud_builder.errors import Permanent, Retryable
from cloud_builder.model.ids import JobId, RepositoryName
from cloud_builder.model.repository import SnapshotListing
from cloud_builder.planning.publish.contents import removed_packages
from cloud_builder.planning.publish.listing import listing
from cloud_builder.planning.publish.publication import Publication
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.repository import RepositoryWriter

from .announcer import Announcer
from .planner import PublicationPlanner
from .repositories import ManagedRepository, RepositoryStore

MIN_PUBLISH_INTERVAL = 1.0
"""Seconds between two snapshots of a repository: apt compares their dates in whole seconds."""
NEVER = float("inf")
_LOG = logging.getLogger("cb.collector")


class Publisher:
    """Publishes when entries have changed, and answers the jobs that wait for it."""

    def __init__(
        self,
        managed: RepositoryStore,
        repositories: RepositoryWriter,
        planner: PublicationPlanner,
        announcer: Announcer,
    ) -> None:
        self._managed, self._repositories, self._announcer = managed, repositories, announcer
        self.planner = planner
        self._not_before: dict[RepositoryName, float] = {}

    @property
    def is_busy(self) -> bool:
        """True while something can be published or answered soon."""
        stale = (name for name, repository in self._managed.repositories.items() if repository.stale)
        return any(self._not_before.get(name) != NEVER for name in stale) or any(self._managed.pending_jobs.values())

    def retry(self, name: RepositoryName) -> None:
        """Lets a repository whose publication has failed be published again."""
        self._not_before.pop(name, None)

    def reconcile(self, names: Sequence[RepositoryName], work: UnitOfWork) -> None:
        """Publishes the repositories of one suite if one of them has changed, and answers their jobs."""
        ready = {name: self._ready_jobs(name) for name in names}
        for name in names:
            if ready[name] and self._not_before.get(name) == NEVER:
                self.retry(name)  # these jobs waited for the head of their source, and must be answered, too
        possible = [name for name in names if self._not_before.get(name) != NEVER]
        is_stale = any(self._managed.repositories[name].stale for name in possible)
        if is_stale and all(self._may_publish(name, work) for name in possible):
            self._publish_suite(names, possible, ready, work)
        for name in names:
            repository = self._managed.repositories[name]
            if (jobs := self._ready_jobs(name)) and not repository.stale:
                self._announcer.published(work, repository, repository.snapshot, jobs)

    def _ready_jobs(self, name: RepositoryName) -> list[JobId]:
        """Returns the jobs that can be answered: those of units that the source has."""
        pending = self._managed.pending_jobs[name]
        hidden = self.planner.hidden(name) if pending else ()
        return [job for job, key in pending.items() if key not in hidden]

    def _may_publish(self, name: RepositoryName, work: UnitOfWork) -> bool:
        is_too_soon = 0.0 <= work.now - self._managed.repositories[name].published_at < MIN_PUBLISH_INTERVAL
        return work.now >= self._not_before.get(name, 0.0) and not is_too_soon

    def _publish_suite(
        self,
        names: Sequence[RepositoryName],
        possible: Collection[RepositoryName],
        ready: dict[RepositoryName, list[JobId]],
        work: UnitOfWork,
    ) -> None:
        unchanged = [name for name in names if name not in possible]
        planned = self.planner.plan(names, unchanged, caught_up=work.caught_up)
        for name in possible:
            before = self._managed.published(name)
            if self._managed.repositories[name].stale or before != planned[name].contents:
                self._publish(name, planned[name], ready[name], work)

    def _publish(self, name: RepositoryName, planned: Publication, jobs: Collection[JobId], work: UnitOfWork) -> None:
        repository = self._managed.repositories[name]
        new_listing, warnings = listing(name, repository.suite, planned.contents, repository.architectures)
        try:
            snapshot = self._repositories.publish(new_listing, at=work.now, after=repository.snapshot)
        except Retryable as error:
            self._not_before[name] = work.now + error.delay
            _LOG.warning("publishing is postponed", extra={"repository": name, "reason": error.message})
        except Permanent as error:
            self._not_before[name] = NEVER  # until an entry changes
            self._announcer.failed(work, name, jobs, error)
        else:
            after = _published(repository, snapshot, new_listing, planned, work.now)
            after = after.model_copy(update={"warnings": warnings})
            removed = removed_packages(self._managed.published(name), planned.contents)
            self._managed.save_published(work, name, planned.contents)
            self._managed.save(work, after)
            changed = snapshot != repository.snapshot or (after.held, after.kept) != (repository.held, repository.kept)
            if jobs or changed:
                self._announcer.published(work, after, repository.snapshot, jobs, removed)


def _published(
    repository: ManagedRepository, snapshot: str, new_listing: SnapshotListing, planned: Publication, now: float
) -> ManagedRepository:
    """Returns the repository with that snapshot live."""
    changed = {
        "snapshot": snapshot,
        "published_at": now if snapshot != repository.snapshot else repository.published_at,
        "architectures": tuple(new_listing.packages),
        "packages": new_listing.size,
        "stale": False,
        "held": planned.held,
        "kept": planned.kept,
    }
    return repository.model_copy(update=changed)
