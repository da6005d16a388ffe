"""ports.mesh.Flow of cb-collector.

A job's verdict is answered exactly once, with repository.published or publish.failed: the scheduler ends its request
only then. What comes in between two ticks becomes one snapshot. Publishing happens inside the transaction, before its
commit: repeated after a crash, the same content is the same snapshot.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from cloud_builder.errors import CloudBuilderError, Permanent, Retryable
from cloud_builder.model.events import JobFinished, PublishFailed, RepositoryPublished, SourceRevised
from cloud_builder.model.ids import JobId, RepositoryName
from cloud_builder.model.outcome import Role
from cloud_builder.model.repository import SnapshotListing, UnitTarget
from cloud_builder.model.settings import CollectorSettings
from cloud_builder.planning.publish.contents import is_newer, is_same, listing
from cloud_builder.ports.mesh import Received, UnitOfWork
from cloud_builder.ports.repository import RepositoryWriter
from cloud_builder.ports.signer import Signer
from cloud_builder.ports.state import Documents
from cloud_builder.ports.store import ObjectStore

from .inventory import SourceInventory
from .repositories import ManagedRepository, RepositoryStore
from .verify import verified

MIN_PUBLISH_INTERVAL = 1.0
"""Seconds between two snapshots of a repository: apt tells them apart by whole seconds."""
IDLE_WAIT, BUSY_WAIT = 5.0, 0.2
NEVER = float("inf")
_LOG = logging.getLogger("cb.collector")


class CollectorFlow:
    """See the port. `repositories` writes with `signer`'s key."""

    role = Role.COLLECTOR
    instance = ""

    def __init__(
        self, settings: CollectorSettings, store: ObjectStore, repositories: RepositoryWriter, signer: Signer
    ) -> None:
        self._settings, self._store = settings, store
        self._repositories, self._signer = repositories, signer
        self._shelves: RepositoryStore
        self._tips: SourceInventory
        self._unchecked: set[RepositoryName]
        self._not_before: dict[RepositoryName, float] = {}

    def restore(self, state: Documents) -> None:
        self._shelves, self._tips = RepositoryStore(state), SourceInventory(state)
        self._unchecked = set(self._shelves.known)

    def republish(self, work: UnitOfWork) -> None:
        for name, shelf in self._shelves.known.items():
            if shelf.snapshot:
                self._announce(work, shelf, shelf.snapshot, self._shelves.recent_answers(work, name))

    def handle(self, event: Received, work: UnitOfWork) -> None:
        payload = event.payload
        if isinstance(payload, JobFinished) and payload.publish and payload.is_good:
            self._on_job_finished(payload, work)
        elif isinstance(payload, SourceRevised) and payload.followed and self._tips.apply_part(work, payload):
            self._compare_with_tip(payload, work)

    def tick(self, work: UnitOfWork) -> None:
        for name in sorted(self._shelves.known):
            self._reconcile(name, work)

    def max_wait(self) -> float:
        stale = (name for name, shelf in self._shelves.known.items() if shelf.stale)
        busy = any(self._not_before.get(name) != NEVER for name in stale) or any(self._shelves.pending_jobs.values())
        return BUSY_WAIT if busy else IDLE_WAIT

    def stop(self, work: UnitOfWork) -> None:
        """Everything is in the state already."""

    # --- what comes in --------------------------------------------------------------------------------------------

    def _on_job_finished(self, job: JobFinished, work: UnitOfWork) -> None:
        if job.repository is None:
            return
        try:
            shelf = self._shelf(job, job.repository)
            known = self._shelves.contents[shelf.repository].get((job.unit, job.target.name))
            holding = verified(job, self._store, self._repositories, known)
        except Permanent as error:
            self._fail(work, job.repository, [job.job_id], error)
            return
        known = self._shelves.contents[shelf.repository].get(holding.slot)
        if is_newer(holding, known):
            self._shelves.put_entry(work, shelf.repository, holding)
            self._mark_stale(work, shelf, stale=not is_same(holding, known))
        else:
            _LOG.info("older than what is published", extra={"job": job.job_id, "repository": shelf.repository})
            self._mark_stale(work, shelf, stale=False)
        self._shelves.add_pending(work, shelf.repository, job.job_id, holding.slot)

    def _shelf(self, job: JobFinished, name: RepositoryName) -> ManagedRepository:
        shelf = self._shelves.known.get(name) or ManagedRepository(
            repository=name, source=job.source, suite=job.target.dist
        )
        if (shelf.source, shelf.suite) != (job.source, job.target.dist):
            raise Permanent(
                f"{name} already holds the packages of {shelf.source} for {shelf.suite}, and cannot take those of"
                f" {job.source} for {job.target.dist}",
                code="repository-name",
                hint=f"Give the source {job.source} another name.",
            )
        return shelf

    def _compare_with_tip(self, event: SourceRevised, work: UnitOfWork) -> None:
        for shelf in list(self._shelves.known.values()):
            if shelf.source == event.source:
                self._mark_stale(work, shelf, stale=True)

    def _mark_stale(self, work: UnitOfWork, shelf: ManagedRepository, *, stale: bool) -> None:
        self._not_before.pop(shelf.repository, None)
        if (stale and not shelf.stale) or shelf.repository not in self._shelves.known:
            self._shelves.save(work, shelf.model_copy(update={"stale": True}))

    # --- what goes out --------------------------------------------------------------------------------------------

    def _reconcile(self, name: RepositoryName, work: UnitOfWork) -> None:
        self._check(name, work)
        hidden = self._missing_from_source(name)
        if hidden and work.caught_up:
            self._shelves.remove_entries(work, name, hidden)
            hidden = set()
        shelf = self._shelves.known[name]
        ready = [job for job, slot in self._shelves.pending_jobs[name].items() if slot not in hidden]
        if ready and self._not_before.get(name) == NEVER:
            del self._not_before[name]  # they waited for the tip of their source, and are to be answered, too
        if shelf.stale and self._may_publish(shelf, work):
            self._publish(name, work, hidden, ready)
        elif ready and not shelf.stale:
            self._shelves.mark_answered(work, name, ready, well=True)
            self._announce(work, shelf, shelf.snapshot, ready)

    def _missing_from_source(self, name: RepositoryName) -> set[UnitTarget]:
        """Held slots that the source does not have; or not yet, as far as we have read."""
        source = self._shelves.known[name].source
        return {slot for slot in self._shelves.contents[name] if not self._tips.has(source, slot)}

    def _check(self, name: RepositoryName, work: UnitOfWork) -> None:
        """Once after a start: what is live is what was announced, or is published again."""
        if name in self._unchecked:
            self._unchecked.discard(name)
            shelf = self._shelves.known[name]
            self._mark_stale(work, shelf, stale=self._repositories.live(name) != shelf.snapshot)

    def _may_publish(self, shelf: ManagedRepository, work: UnitOfWork) -> bool:
        is_too_soon = 0.0 <= work.now - shelf.published_at < MIN_PUBLISH_INTERVAL
        return work.now >= self._not_before.get(shelf.repository, 0.0) and not is_too_soon

    def _publish(
        self, name: RepositoryName, work: UnitOfWork, hidden: Collection[UnitTarget], jobs: Collection[JobId]
    ) -> None:
        shelf = self._shelves.known[name]
        contents = {slot: held for slot, held in self._shelves.contents[name].items() if slot not in hidden}
        offered, warnings = listing(name, shelf.suite, contents, shelf.architectures)
        try:
            snapshot = self._repositories.publish(offered, at=work.now, after=shelf.snapshot)
        except Retryable as error:
            self._not_before[name] = work.now + error.delay
            _LOG.warning("publishing has to wait", extra={"repository": name, "reason": error.message})
        except Permanent as error:
            self._not_before[name] = NEVER  # until something new comes in
            self._fail(work, name, jobs, error)
        else:
            after = _published(shelf, snapshot, offered, work.now)
            self._shelves.save(work, after)
            self._shelves.mark_answered(work, name, jobs, well=True)
            if jobs or snapshot != shelf.snapshot:
                self._announce(work, after, shelf.snapshot, jobs, warnings)

    def _announce(
        self,
        work: UnitOfWork,
        shelf: ManagedRepository,
        previous: str,
        jobs: Collection[JobId],
        warnings: tuple[str, ...] = (),
    ) -> None:
        known = {"repository": shelf.repository, "snapshot": shelf.snapshot, "packages": shelf.packages}
        _LOG.info("published", extra={**known, "previous": previous, "jobs": len(jobs)})
        for warning in warnings:
            _LOG.warning("contested package", extra={"repository": shelf.repository, "reason": warning})
        work.emit(
            RepositoryPublished(
                repository=shelf.repository,
                snapshot=shelf.snapshot,
                previous=previous,
                url=f"{self._settings.url}/repositories/{shelf.repository}",
                jobs=tuple(jobs),
                packages=shelf.packages,
                signed_by=self._signer.fingerprint,
                warnings=warnings,
                at=work.now,
            )
        )

    def _fail(self, work: UnitOfWork, name: RepositoryName, jobs: Collection[JobId], error: CloudBuilderError) -> None:
        _LOG.warning("cannot publish", extra={"repository": name, "jobs": len(jobs), "reason": error.message})
        self._shelves.mark_answered(work, name, jobs, well=False)
        if jobs:
            work.emit(
                PublishFailed(repository=name, jobs=tuple(jobs), message=error.message, hint=error.hint, at=work.now)
            )


def _published(shelf: ManagedRepository, snapshot: str, offered: SnapshotListing, now: float) -> ManagedRepository:
    """The shelf with that snapshot live."""
    changed = {
        "snapshot": snapshot,
        "published_at": now if snapshot != shelf.snapshot else shelf.published_at,
        "architectures": tuple(offered.packages),
        "packages": offered.size,
        "stale": False,
    }
    return shelf.model_copy(update=changed)
