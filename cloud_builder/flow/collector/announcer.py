"""Emits what became of the jobs of a repository: `repository.published` or `publish.failed`, once for each job."""

from __future__ import annotations

import logging
from collections.abc import Collection

from cloud_builder.errors import CloudBuilderError
from cloud_builder.model.events import PublishFailed, RepositoryPublished
from cloud_builder.model.ids import JobId, RepositoryName
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.signer import Signer

from .repositories import ManagedRepository, RepositoryStore

_LOG = logging.getLogger("cb.collector")
MAX_ANNOUNCED = 200
"""Held builds, and kept packages, that one event lists; further ones are only counted."""


class Announcer:
    """Emits events, and marks their jobs as answered. `url`: where clients find the collector."""

    def __init__(self, managed: RepositoryStore, url: str, signer: Signer) -> None:
        self._managed, self._url, self._signer = managed, url, signer

    def published(
        self,
        work: UnitOfWork,
        repository: ManagedRepository,
        previous: str,
        jobs: Collection[JobId],
        removed: tuple[str, ...] = (),
    ) -> None:
        about = {"repository": repository.name, "snapshot": repository.snapshot, "packages": repository.packages}
        counts = {"jobs": len(jobs), "held": len(repository.held), "kept": len(repository.kept)}
        _LOG.info("published", extra={**about, "previous": previous, **counts})
        for warning in repository.warnings if repository.snapshot != previous else ():
            _LOG.warning("published with a warning", extra={"repository": repository.name, "reason": warning})
        self._managed.mark_answered(work, repository.name, jobs, is_published=True)
        work.emit(
            RepositoryPublished(
                repository=repository.name,
                snapshot=repository.snapshot,
                previous=previous,
                url=f"{self._url}/repositories/{repository.name}",
                jobs=tuple(jobs),
                packages=repository.packages,
                signed_by=self._signer.fingerprint,
                warnings=repository.warnings,
                removed=removed[:MAX_ANNOUNCED],
                held=repository.held[:MAX_ANNOUNCED],
                kept=repository.kept[:MAX_ANNOUNCED],
                more_held=max(0, len(repository.held) - MAX_ANNOUNCED),
                more_kept=max(0, len(repository.kept) - MAX_ANNOUNCED),
                at=work.now,
            )
        )

    def failed(self, work: UnitOfWork, name: RepositoryName, jobs: Collection[JobId], error: CloudBuilderError) -> None:
        _LOG.warning("publishing failed", extra={"repository": name, "jobs": len(jobs), "reason": error.message})
        self._managed.mark_answered(work, name, jobs, is_published=False)
        if jobs:
            work.emit(
                PublishFailed(repository=name, jobs=tuple(jobs), message=error.message, hint=error.hint, at=work.now)
            )
