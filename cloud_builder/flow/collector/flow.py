"""The Flow of cb-collector.

Input: `job.finished` of jobs that are to be published, `source.revised` of followed commits.
Output: `repository.published` or `publish.failed`. Each job is answered exactly once, and only then does the scheduler
finish its request.

All changes between two ticks become one snapshot. It is published inside the transaction, before its commit: after a
crash the same content is published again and makes the same snapshot.
"""

from __future__ import annotations

import logging

from cloud_builder.errors import Permanent
from cloud_builder.model.events import JobFinished, SourceRevised
from cloud_builder.model.ids import RepositoryName
from cloud_builder.model.role import Role
from cloud_builder.model.settings import CollectorSettings
from cloud_builder.planning.publish.contents import is_newer, is_same
from cloud_builder.ports.mesh import Received, UnitOfWork
from cloud_builder.ports.repository import RepositoryWriter
from cloud_builder.ports.signer import Signer
from cloud_builder.ports.state import Documents
from cloud_builder.ports.store import ObjectStore

from . import published_packages
from .announcer import Announcer
from .inventory import SourceInventory
from .planner import PublicationPlanner
from .publisher import Publisher
from .repositories import ManagedRepository, RepositoryStore
from .store_retention import StoreRetention
from .verify import verify_job

IDLE_WAIT, BUSY_WAIT = 5.0, 0.2
"""Seconds until the next tick at the latest: with nothing to publish, and with something."""
_LOG = logging.getLogger("cb.collector")


class CollectorFlow:
    """ports.mesh.Flow. `repositories` signs with the key of `signer`."""

    role = Role.COLLECTOR
    instance = ""

    def __init__(
        self,
        settings: CollectorSettings,
        store: ObjectStore,
        repositories: RepositoryWriter,
        signer: Signer,
        object_retention: float = 0.0,
    ) -> None:
        """`object_retention`: seconds for which an unused object is kept in the store; 0: for ever."""
        self._settings, self._store = settings, store
        self._retention = StoreRetention(store, object_retention)
        self._repositories, self._signer = repositories, signer
        self._managed: RepositoryStore
        self._inventory: SourceInventory
        self._announcer: Announcer
        self._publisher: Publisher
        self._unchecked: set[RepositoryName]

    def restore(self, state: Documents) -> None:
        self._managed, self._inventory = RepositoryStore(state), SourceInventory(state)
        planner = PublicationPlanner(self._managed, self._inventory, self._settings.publish_at_once)
        announcer = Announcer(self._managed, self._settings.url, self._signer)
        self._announcer, self._publisher = announcer, Publisher(self._managed, self._repositories, planner, announcer)
        self._unchecked = set(self._managed.repositories)

    def republish(self, work: UnitOfWork) -> None:
        for name, repository in self._managed.repositories.items():
            if repository.snapshot:
                jobs = self._managed.recent_answers(work, name)
                self._announcer.published(work, repository, repository.snapshot, jobs)

    def handle(self, event: Received, work: UnitOfWork) -> None:
        payload = event.payload
        if isinstance(payload, JobFinished):
            self._retention.on_job_finished(payload)
        if isinstance(payload, JobFinished) and payload.publish and payload.is_good:
            self._on_job_finished(payload, work)
        elif isinstance(payload, SourceRevised) and payload.followed and self._inventory.apply_part(work, payload):
            self._on_head_changed(payload, work)

    def tick(self, work: UnitOfWork) -> None:
        suites: dict[str, list[RepositoryName]] = {}
        for name in sorted(self._managed.repositories):
            self._check_live_snapshot(name, work)
            self._remove_missing(name, work)
            suites.setdefault(self._managed.repositories[name].suite, []).append(name)
        for names in suites.values():
            self._publisher.reconcile(names, work)
        self._retention.prune(work, self._managed.all_entries())

    def max_wait(self) -> float:
        return BUSY_WAIT if self._publisher.is_busy else IDLE_WAIT

    def stop(self, work: UnitOfWork) -> None:
        """Hands nothing over: everything is in the state."""

    # --- events

    def _on_job_finished(self, job: JobFinished, work: UnitOfWork) -> None:
        if job.repository is None:
            return
        try:
            repository = self._repository_for(job, job.repository)
            current = self._managed.contents[repository.name].get((job.unit, job.target.name))
            made = self._publisher.planner.versions_made(repository.suite)
            entry = verify_job(job, self._store, self._repositories, current, made)
        except Permanent as error:
            self._managed.put_names(work, job.repository, job.artifacts)
            self._announcer.failed(work, job.repository, [job.job_id], error)
            return
        if is_newer(entry, current):
            if changed := published_packages.changed(work.documents, repository.name, entry):
                self._managed.put_names(work, repository.name, job.artifacts)
                refusal = _changed_contents(changed, repository.name)
                self._announcer.failed(work, repository.name, [job.job_id], refusal)
                return
            published_packages.save(work, repository.name, entry)
            self._managed.put_entry(work, repository.name, entry)
            has_waiting = bool(repository.held or repository.kept)
            self._mark_stale(work, repository, stale=has_waiting or not is_same(entry, current))
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
        self._publisher.retry(repository.name)
        if (stale and not repository.stale) or repository.name not in self._managed.repositories:
            self._managed.save(work, repository.model_copy(update={"stale": True}))

    # --- repositories

    def _check_live_snapshot(self, name: RepositoryName, work: UnitOfWork) -> None:
        """Publishes again, once after a start, if the live snapshot is not the one that was announced."""
        if name in self._unchecked:
            self._unchecked.discard(name)
            repository = self._managed.repositories[name]
            self._mark_stale(work, repository, stale=self._repositories.live(name) != repository.snapshot)

    def _remove_missing(self, name: RepositoryName, work: UnitOfWork) -> None:
        """Removes the entries that are not at the head of the source, once the source was read to its end."""
        if work.caught_up:
            source = self._managed.repositories[name].source
            missing = [key for key in self._managed.contents[name] if not self._inventory.has(source, key)]
            self._managed.remove_entries(work, name, missing)


def _changed_contents(package: str, repository: RepositoryName) -> Permanent:
    return Permanent(
        f"{package} is in {repository} with other contents: published packages never change",
        code="published-version",
        hint="Raise the version in debian/changelog.",
    )
