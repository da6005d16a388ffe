"""Stores the managed repositories, their entries, and the jobs to be answered: in memory and in documents.

Each change goes to both, inside the transaction of the mesh loop. After a rollback the RepositoryStore is loaded again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import JobId, RepositoryName, SourceName, UnitPath
from cloud_builder.model.repository import RepositoryEntry, UnitTarget
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

REPOSITORY = "repository"
"""Collection: by name."""
REPOSITORY_ENTRY = "repository-entry"
"""Collection: the packages of a unit and target in a repository. Parent: the repository."""
PENDING_JOB = "pending-job"
"""Collection: jobs whose artifacts are to be published. Parent: the repository."""
PUBLISHED_JOB = "published-job"
"""Collection: jobs that were reported as published. Parent: the repository; by time."""
MAX_RECENT_JOBS = 500
"""Published jobs that are kept for each repository. They are announced again to a new broker."""


class ManagedRepository(LenientModel):
    """A repository.

    snapshot        the one that was announced last
    architectures   all that were ever published: each keeps an index, so that apt on such a machine reports no error
    packages        their number in the snapshot
    stale           the entries may differ from the snapshot
    """

    name: RepositoryName
    source: SourceName
    suite: str
    snapshot: str = ""
    published_at: float = 0.0
    architectures: tuple[str, ...] = ()
    packages: int = 0
    stale: bool = True


class RepositoryStore:
    """The repositories by name.

    contents       the entries of each repository, by unit and target
    pending_jobs   the jobs of each repository that must be answered, with their unit and target
    """

    def __init__(self, state: Documents) -> None:
        self.repositories: dict[RepositoryName, ManagedRepository] = {}
        self.contents: dict[RepositoryName, dict[UnitTarget, RepositoryEntry]] = defaultdict(dict)
        self.pending_jobs: dict[RepositoryName, dict[JobId, UnitTarget]] = defaultdict(dict)
        for _, body in state.find(REPOSITORY):
            repository = ManagedRepository.model_validate(body)
            self.repositories[repository.name] = repository
            for _, entry_body in state.find(REPOSITORY_ENTRY, parent=repository.name):
                entry = RepositoryEntry.model_validate(entry_body)
                self.contents[repository.name][entry.unit_target] = entry
            for job, key in state.find(PENDING_JOB, parent=repository.name):
                self.pending_jobs[repository.name][JobId(job)] = UnitPath(key["unit"]), key["target"]

    def save(self, work: UnitOfWork, repository: ManagedRepository) -> None:
        self.repositories[repository.name] = repository
        work.documents.put(REPOSITORY, repository.name, repository.model_dump(mode="json"))

    def put_entry(self, work: UnitOfWork, name: RepositoryName, entry: RepositoryEntry) -> None:
        self.contents[name][entry.unit_target] = entry
        work.documents.put(REPOSITORY_ENTRY, _key(name, entry.unit_target), entry.model_dump(mode="json"), parent=name)

    def remove_entries(self, work: UnitOfWork, name: RepositoryName, keys: Collection[UnitTarget]) -> None:
        for key in keys:
            del self.contents[name][key]
            work.documents.delete(REPOSITORY_ENTRY, _key(name, key))

    def add_pending(self, work: UnitOfWork, name: RepositoryName, job: JobId, key: UnitTarget) -> None:
        self.pending_jobs[name][job] = key
        work.documents.put(PENDING_JOB, job, {"unit": key[0], "target": key[1]}, parent=name, rank=work.now)

    def mark_answered(
        self, work: UnitOfWork, name: RepositoryName, jobs: Collection[JobId], *, is_published: bool
    ) -> None:
        """Removes pending jobs; the published ones are kept for `recent_answers`."""
        for job in jobs:
            self.pending_jobs[name].pop(job, None)
            work.documents.delete(PENDING_JOB, job)
            if is_published:
                work.documents.put(PUBLISHED_JOB, job, {}, parent=name, rank=work.now)
        if is_published and (surplus := work.documents.count(PUBLISHED_JOB, parent=name) - MAX_RECENT_JOBS) > 0:
            for oldest, _ in list(work.documents.find(PUBLISHED_JOB, parent=name, most=surplus)):
                work.documents.delete(PUBLISHED_JOB, oldest)

    def recent_answers(self, work: UnitOfWork, name: RepositoryName) -> tuple[JobId, ...]:
        """Returns the jobs that were published last, the newest first."""
        return tuple(
            JobId(job) for job, _ in work.documents.find(PUBLISHED_JOB, parent=name, newest=True, most=MAX_RECENT_JOBS)
        )


def _key(name: RepositoryName, unit_target: UnitTarget) -> str:
    return f"{name} {unit_target[0]} {unit_target[1]}"
