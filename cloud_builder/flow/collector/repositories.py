"""Stores the managed repositories, their entries, and the jobs to be answered: in memory and in documents.

Each change goes to both, inside the transaction of the mesh loop. After a rollback the RepositoryStore is loaded again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from cloud_builder.model.artifact import Artifact
from cloud_builder.model.frozen import LenientModel
from cloud_builder.model.ids import JobId, RepositoryName, SourceName, UnitPath
from cloud_builder.model.repository import HeldBuild, KeptPackage, RepositoryEntry, UnitTarget
from cloud_builder.planning.publish.contents import is_same
from cloud_builder.planning.publish.package_set import offered_names
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
PUBLISHED_BUILD = "published-build"
"""Collection: the builds that a snapshot lists, where they differ from the repository's entries: an earlier build of
the unit and target, a part of one, or none. Parent: the repository."""
MADE_NAME = "made-name"
"""Collection: the versions in which units have made or provided a package, the newest last. Parent: the repository."""
MAX_VERSIONS = 20
"""Versions of a name that are kept."""
MAX_RECENT_JOBS = 500
"""Published jobs that are kept for each repository. They are announced again to a new broker."""


class ManagedRepository(LenientModel):
    """A repository.

    snapshot        the one that was announced last
    architectures   all that were ever published: each keeps an index, so that apt on such a machine reports no error
    packages        their number in the snapshot
    warnings        problems of the snapshot for a person to check
    stale           the entries may differ from the snapshot
    held, kept      builds that are not published yet; packages that stay although no unit makes them
    """

    name: RepositoryName
    source: SourceName
    suite: str
    snapshot: str = ""
    published_at: float = 0.0
    architectures: tuple[str, ...] = ()
    packages: int = 0
    warnings: tuple[str, ...] = ()
    stale: bool = True
    held: tuple[HeldBuild, ...] = ()
    kept: tuple[KeptPackage, ...] = ()


class RepositoryStore:
    """The repositories by name.

    contents       the entries of each repository, by unit and target
    made_names     the names that units have made or provided, with versions
    pending_jobs   the jobs of each repository that must be answered, with their unit and target
    """

    def __init__(self, state: Documents) -> None:
        self.repositories: dict[RepositoryName, ManagedRepository] = {}
        self.contents: dict[RepositoryName, dict[UnitTarget, RepositoryEntry]] = defaultdict(dict)
        self.pending_jobs: dict[RepositoryName, dict[JobId, UnitTarget]] = defaultdict(dict)
        self.made_names: dict[RepositoryName, dict[str, tuple[str, ...]]] = defaultdict(dict)
        self._published: dict[RepositoryName, dict[UnitTarget, RepositoryEntry | None]] = defaultdict(dict)
        for _, body in state.find(REPOSITORY):
            repository = ManagedRepository.model_validate(body)
            self.repositories[repository.name] = repository
            for _, entry_body in state.find(REPOSITORY_ENTRY, parent=repository.name):
                entry = RepositoryEntry.model_validate(entry_body)
                self.contents[repository.name][entry.unit_target] = entry
            for _, build in state.find(PUBLISHED_BUILD, parent=repository.name):
                published = RepositoryEntry.model_validate(build["entry"]) if build["entry"] else None
                self._published[repository.name][UnitPath(build["unit"]), build["target"]] = published
            for made_key, made in state.find(MADE_NAME, parent=repository.name):
                self.made_names[repository.name][made_key.partition(" ")[2]] = tuple(made["versions"])
            for job, key in state.find(PENDING_JOB, parent=repository.name):
                self.pending_jobs[repository.name][JobId(job)] = UnitPath(key["unit"]), key["target"]

    def save(self, work: UnitOfWork, repository: ManagedRepository) -> None:
        self.repositories[repository.name] = repository
        work.documents.put(REPOSITORY, repository.name, repository.model_dump(mode="json"))

    def published(self, name: RepositoryName) -> dict[UnitTarget, RepositoryEntry]:
        """Returns the builds that the live snapshot lists."""
        builds = {**self.contents[name], **self._published[name]}
        return {key: entry for key, entry in builds.items() if entry is not None}

    def all_entries(self) -> Iterator[RepositoryEntry]:
        """Yields all builds that are published, or are to be."""
        for name in self.repositories:
            yield from self.contents[name].values()
            yield from (entry for entry in self._published[name].values() if entry is not None)

    def save_published(
        self, work: UnitOfWork, name: RepositoryName, builds: Mapping[UnitTarget, RepositoryEntry]
    ) -> None:
        """Stores the builds that a new snapshot lists."""
        contents = self.contents[name]
        listed = {key: build for key, build in builds.items() if contents.get(key) is not build}
        overrides = {**{key: None for key in contents if key not in builds}, **listed}
        for key in self._published[name].keys() - overrides.keys():
            del self._published[name][key]
            work.documents.delete(PUBLISHED_BUILD, _key(name, key))
        for key, entry in overrides.items():
            self._put_published(work, name, key, entry)

    def put_entry(self, work: UnitOfWork, name: RepositoryName, entry: RepositoryEntry) -> None:
        """Stores the newest build of a unit and target. The one before it stays published until the next snapshot."""
        key = entry.unit_target
        before = self.contents[name].get(key)
        if key not in self._published[name] and not is_same(entry, before):
            self._put_published(work, name, key, before)
        self.contents[name][key] = entry
        work.documents.put(REPOSITORY_ENTRY, _key(name, key), entry.model_dump(mode="json"), parent=name)
        self.put_names(work, name, entry.packages)

    def remove_entries(self, work: UnitOfWork, name: RepositoryName, keys: Collection[UnitTarget]) -> None:
        """Removes the entries of units that are gone. What is published of them stays until the next snapshot."""
        for key in keys:
            before = self.contents[name].pop(key)
            if key not in self._published[name]:
                self._put_published(work, name, key, before)
            elif self._published[name][key] is None:
                del self._published[name][key]
                work.documents.delete(PUBLISHED_BUILD, _key(name, key))
            work.documents.delete(REPOSITORY_ENTRY, _key(name, key))

    def _put_published(
        self, work: UnitOfWork, name: RepositoryName, key: UnitTarget, entry: RepositoryEntry | None
    ) -> None:
        if key in self._published[name] and self._published[name][key] == entry:
            return
        self._published[name][key] = entry
        listed = entry.model_dump(mode="json") if entry is not None else None
        body = {"unit": key[0], "target": key[1], "entry": listed}
        work.documents.put(PUBLISHED_BUILD, _key(name, key), body, parent=name)

    def put_names(self, work: UnitOfWork, name: RepositoryName, artifacts: Iterable[Artifact]) -> None:
        """Stores what units have made, also what cannot be published: then it is not the distribution's business."""
        made = self.made_names[name]
        for artifact in artifacts:
            if artifact.package is None:
                continue
            for offered in offered_names(artifact.package):
                versions = made.get(offered, ())
                if artifact.package.version not in versions:
                    made[offered] = (*versions, artifact.package.version)[-MAX_VERSIONS:]
                    body = {"versions": list(made[offered])}
                    work.documents.put(MADE_NAME, f"{name} {offered}", body, parent=name)

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
