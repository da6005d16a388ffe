"""The Flow of cb-collector.

Input: `job.finished` of jobs that are to be published, `source.revised` of followed commits.
Output: `repository.published` or `publish.failed`. Each job is answered exactly once, and only then does the scheduler
finish its request.

All changes between two ticks become one snapshot. It is published inside the transaction, before its commit: after a
crash the same content is published again and makes the same snapshot.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from cloud_builder.errors import CloudBuilderError, Permanent, Retryable
from cloud_builder.model.events import JobFinished, PublishFailed, RepositoryPublished, SourceRevised
from cloud_builder.model.ids import JobId, RepositoryName
from cloud_builder.model.repository import SnapshotListing, UnitTarget
from cloud_builder.model.role import Role
from cloud_builder.model.settings import CollectorSettings
from cloud_builder.planning.publish.contents import is_newer, is_same
from cloud_builder.planning.publish.listing import listing
from cloud_builder.ports.mesh import Received, UnitOfWork
from cloud_builder.ports.repository import RepositoryWriter
from cloud_builder.ports.signer import Signer
from cloud_builder.ports.state import Documents
from cloud_builder.ports.store import ObjectStore

from .inventory import SourceInventory
from .repositories import ManagedRepository, RepositoryStore
from .verify import verify_job

MIN_PUBLISH_INTERVAL = 1.0
"""Seconds between two snapshots of a repository: apt compares their dates in whole seconds."""
IDLE_WAIT, BUSY_WAIT = 5.0, 0.2
"""Seconds until the next tick at the latest: with nothing to publish, and with something."""
NEVER = float("inf")
_LOG = logging.getLogger("cb.collector")


class CollectorFlow:
    """ports.mesh.Flow. `repositories` signs with the key of `signer`."""

    role = Role.COLLECTOR
    instance = ""

    def __init__(
        self, settings: CollectorSettings, store: ObjectStore, repositories: RepositoryWriter, signer: Signer
    ) -> None:
        self._settings, self._store = settings, store
        self._repositories, self._signer = repositories, signer
        self._managed: RepositoryStore
        self._inventory: SourceInventory
        self._unchecked: set[RepositoryName]
        self._not_before: dict[RepositoryName, float] = {}

    def restore(self, state: Documents) -> None:
        self._managed, self._inventory = RepositoryStore(state), SourceInventory(state)
        self._unchecked = set(self._managed.repositories)

    def republish(self, work: UnitOfWork) -> None:
        for name, repository in self._managed.repositories.items():
            if repository.snapshot:
                jobs = self._managed.recent_answers(work, name)
                self._announce(work, repository, repository.snapshot, jobs)

    def handle(self, event: Received, work: UnitOfWork) -> None:
        payload = event.payload
        if isinstance(payload, JobFinished) and payload.publish and payload.is_good:
            self._on_job_finished(payload, work)
        elif isinstance(payload, SourceRevised) and payload.followed and self._inventory.apply_part(work, payload):
            self._on_head_changed(payload, work)

    def tick(self, work: UnitOfWork) -> None:
        for name in sorted(self._managed.repositories):
            self._reconcile(name, work)

    def max_wait(self) -> float:
        stale = (name for name, repository in self._managed.repositories.items() if repository.stale)
        busy = any(self._not_before.get(name) != NEVER for name in stale) or any(self._managed.pending_jobs.values())
        return BUSY_WAIT if busy else IDLE_WAIT

    def stop(self, work: UnitOfWork) -> None:
        """Hands nothing over: everything is in the state."""

    # --- events

    def _on_job_finished(self, job: JobFinished, work: UnitOfWork) -> None:
        if job.repository is None:
            return
        try:
            repository = self._repository_for(job, job.repository)
            current = self._managed.contents[repository.name].get((job.unit, job.target.name))
            entry = verify_job(job, self._store, self._repositories, current)
        except Permanent as error:
            self._fail(work, job.repository, [job.job_id], error)
            return
        if is_newer(entry, current):
            self._managed.put_entry(work, repository.name, entry)
            self._mark_stale(work, repository, stale=not is_same(entry, current))
        else:
            _LOG.info("older than the published build", extra={"job": job.job_id, "repository": repository.name})
            self._mark_stale(work, repository, stale=False)
        self._managed.add_pending(work, repository.name, job.job_id, entry.unit_target)

    def _repository_for(self, job: JobFinished, name: RepositoryName) -> ManagedRepository:
        """Returns the repository, new if there is none. Raises Permanent when it belongs to another source."""
        repository = self._managed.repositories.get(name) or ManagedRepository(
            name=name, source=job.source, suite=job.target.dist
        )
        if (repository.source, repository.suite) != (job.source, job.target.dist):
            raise Permanent(
                f"{name} already holds the packages of {repository.source} for {repository.suite}, and cannot take"
                f" those of {job.source} for {job.target.dist}",
                code="repository-name",
                hint=f"Give the source {job.source} another name.",
            )
        return repository

    def _on_head_changed(self, event: SourceRevised, work: UnitOfWork) -> None:
        for repository in list(self._managed.repositories.values()):
            if repository.source == event.source:
                self._mark_stale(work, repository, stale=True)

    def _mark_stale(self, work: UnitOfWork, repository: ManagedRepository, *, stale: bool) -> None:
        self._not_before.pop(repository.name, None)
        if (stale and not repository.stale) or repository.name not in self._managed.repositories:
            self._managed.save(work, repository.model_copy(update={"stale": True}))

    # --- publishing

    def _reconcile(self, name: RepositoryName, work: UnitOfWork) -> None:
        self._check_live_snapshot(name, work)
        hidden = self._missing_from_source(name)
        if hidden and work.caught_up:
            self._managed.remove_entries(work, name, hidden)
            hidden = set()
        repository = self._managed.repositories[name]
        ready = [job for job, key in self._managed.pending_jobs[name].items() if key not in hidden]
        if ready and self._not_before.get(name) == NEVER:
            del self._not_before[name]  # these jobs waited for the head of their source, and must be answered, too
        if repository.stale and self._may_publish(repository, work):
            self._publish(name, work, hidden, ready)
        elif ready and not repository.stale:
            self._managed.mark_answered(work, name, ready, is_published=True)
            self._announce(work, repository, repository.snapshot, ready)

    def _missing_from_source(self, name: RepositoryName) -> set[UnitTarget]:
        """Returns the entries that are not at the head of the source; it may not have been read to its end."""
        source = self._managed.repositories[name].source
        return {key for key in self._managed.contents[name] if not self._inventory.has(source, key)}

    def _check_live_snapshot(self, name: RepositoryName, work: UnitOfWork) -> None:
        """Publishes again, once after a start, if the live snapshot is not the one that was announced."""
        if name in self._unchecked:
            self._unchecked.discard(name)
            repository = self._managed.repositories[name]
            self._mark_stale(work, repository, stale=self._repositories.live(name) != repository.snapshot)

    def _may_publish(self, repository: ManagedRepository, work: UnitOfWork) -> bool:
        is_too_soon = 0.0 <= work.now - repository.published_at < MIN_PUBLISH_INTERVAL
        return work.now >= self._not_before.get(repository.name, 0.0) and not is_too_soon

    def _publish(
        self, name: RepositoryName, work: UnitOfWork, hidden: Collection[UnitTarget], jobs: Collection[JobId]
    ) -> None:
        repository = self._managed.repositories[name]
        contents = {key: entry for key, entry in self._managed.contents[name].items() if key not in hidden}
        new_listing, warnings = listing(name, repository.suite, contents, repository.architectures)
        try:
            snapshot = self._repositories.publish(new_listing, at=work.now, after=repository.snapshot)
        except Retryable as error:
            self._not_before[name] = work.now + error.delay
            _LOG.warning("publishing is postponed", extra={"repository": name, "reason": error.message})
        except Permanent as error:
            self._not_before[name] = NEVER  # until an entry changes
            self._fail(work, name, jobs, error)
        else:
            after = _published(repository, snapshot, new_listing, work.now)
            self._managed.save(work, after)
            self._managed.mark_answered(work, name, jobs, is_published=True)
            if jobs or snapshot != repository.snapshot:
                self._announce(work, after, repository.snapshot, jobs, warnings)

    def _announce(
        self,
        work: UnitOfWork,
        repository: ManagedRepository,
        previous: str,
        jobs: Collection[JobId],
        warnings: tuple[str, ...] = (),
    ) -> None:
        about = {"repository": repository.name, "snapshot": repository.snapshot, "packages": repository.packages}
        _LOG.info("published", extra={**about, "previous": previous, "jobs": len(jobs)})
        for warning in warnings:
            _LOG.warning("package made by two units", extra={"repository": repository.name, "reason": warning})
        work.emit(
            RepositoryPublished(
                repository=repository.name,
                snapshot=repository.snapshot,
                previous=previous,
                url=f"{self._settings.url}/repositories/{repository.name}",
                jobs=tuple(jobs),
                packages=repository.packages,
                signed_by=self._signer.fingerprint,
                warnings=warnings,
                at=work.now,
            )
        )

    def _fail(self, work: UnitOfWork, name: RepositoryName, jobs: Collection[JobId], error: CloudBuilderError) -> None:
        _LOG.warning("publishing failed", extra={"repository": name, "jobs": len(jobs), "reason": error.message})
        self._managed.mark_answered(work, name, jobs, is_published=False)
        if jobs:
            work.emit(
                PublishFailed(repository=name, jobs=tuple(jobs), message=error.message, hint=error.hint, at=work.now)
            )


def _published(
    repository: ManagedRepository, snapshot: str, new_listing: SnapshotListing, now: float
) -> ManagedRepository:
    """Returns the repository with that snapshot live."""
    changed = {
        "snapshot": snapshot,
        "published_at": now if snapshot != repository.snapshot else repository.published_at,
        "architectures": tuple(new_listing.packages),
        "packages": new_listing.size,
        "stale": False,
    }
    return repository.model_copy(update=changed)
