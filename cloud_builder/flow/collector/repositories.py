"""What the collector knows of each repository: in memory to work with, in documents to stay.

Each change goes to both, inside the transaction that the mesh loop opened. After a rollback `Shelves` is thrown away
and loaded again.
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
"""Collection: what a unit has in a repository for a target. Parent: the repository."""
PENDING_JOB = "pending-job"
"""Collection: jobs whose artifacts are to be published. Parent: the repository."""
PUBLISHED_JOB = "published-job"
"""Collection: jobs that were reported as published. Parent: the repository; by time."""
RECENT = 500
"""Answers that are remembered of each repository, to be told again when the broker has lost its memory."""


class ManagedRepository(LenientModel):
    """A repository. `stale`: what it holds may differ from the snapshot, which is what was announced last.

    `architectures` ever published: they keep an index, so that no machine that follows the repository gets an error."""

    name: RepositoryName
    source: SourceName
    suite: str
    snapshot: str = ""
    published_at: float = 0.0
    architectures: tuple[str, ...] = ()
    packages: int = 0
    stale: bool = True


class RepositoryStore:
    """`contents`: by repository and slot. `waiting`: jobs to be answered, with the slot they fill."""

    def __init__(self, state: Documents) -> None:
        self.repositories: dict[RepositoryName, ManagedRepository] = {}
        self.contents: dict[RepositoryName, dict[UnitTarget, RepositoryEntry]] = defaultdict(dict)
        self.pending_jobs: dict[RepositoryName, dict[JobId, UnitTarget]] = defaultdict(dict)
        for _, body in state.find(REPOSITORY):
            shelf = ManagedRepository.model_validate(body)
            self.repositories[shelf.name] = shelf
            for _, held in state.find(REPOSITORY_ENTRY, parent=shelf.name):
                holding = RepositoryEntry.model_validate(held)
                self.contents[shelf.name][holding.slot] = holding
            for job, slot in state.find(PENDING_JOB, parent=shelf.name):
                self.pending_jobs[shelf.name][JobId(job)] = UnitPath(slot["unit"]), slot["target"]

    def save(self, work: UnitOfWork, shelf: ManagedRepository) -> None:
        self.repositories[shelf.name] = shelf
        work.documents.put(REPOSITORY, shelf.name, shelf.model_dump(mode="json"))

    def put_entry(self, work: UnitOfWork, name: RepositoryName, holding: RepositoryEntry) -> None:
        self.contents[name][holding.slot] = holding
        work.documents.put(REPOSITORY_ENTRY, _key(name, holding.slot), holding.model_dump(mode="json"), parent=name)

    def remove_entries(self, work: UnitOfWork, name: RepositoryName, slots: Collection[UnitTarget]) -> None:
        for slot in slots:
            del self.contents[name][slot]
            work.documents.delete(REPOSITORY_ENTRY, _key(name, slot))

    def add_pending(self, work: UnitOfWork, name: RepositoryName, job: JobId, slot: UnitTarget) -> None:
        self.pending_jobs[name][job] = slot
        work.documents.put(PENDING_JOB, job, {"unit": slot[0], "target": slot[1]}, parent=name, rank=work.now)

    def mark_answered(
        self, work: UnitOfWork, name: RepositoryName, jobs: Collection[JobId], *, is_published: bool
    ) -> None:
        for job in jobs:
            self.pending_jobs[name].pop(job, None)
            work.documents.delete(PENDING_JOB, job)
            if is_published:
                work.documents.put(PUBLISHED_JOB, job, {}, parent=name, rank=work.now)
        if is_published and (surplus := work.documents.count(PUBLISHED_JOB, parent=name) - RECENT) > 0:
            for oldest, _ in list(work.documents.find(PUBLISHED_JOB, parent=name, most=surplus)):
                work.documents.delete(PUBLISHED_JOB, oldest)

    def recent_answers(self, work: UnitOfWork, name: RepositoryName) -> tuple[JobId, ...]:
        """Jobs that were answered well, the newest first."""
        return tuple(JobId(job) for job, _ in work.documents.find(PUBLISHED_JOB, parent=name, newest=True, most=RECENT))


def _key(name: RepositoryName, slot: UnitTarget) -> str:
    return f"{name} {slot[0]} {slot[1]}"
