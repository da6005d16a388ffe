"""Verifies the files of a finished job before they are published.

Each file that the request's result will name must be in the store, and each package must be a package.
"""

from __future__ import annotations

from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.events import JobFinished
from cloud_builder.model.ids import Digest
from cloud_builder.model.repository import RepositoryEntry
from cloud_builder.ports.repository import RepositoryWriter
from cloud_builder.ports.store import ObjectStore


def verify_job(
    job: JobFinished, store: ObjectStore, repositories: RepositoryWriter, current: RepositoryEntry | None = None
) -> RepositoryEntry:
    """Returns the repository entry of a job.

    Reads every file whole, except for a reused job with the packages of `current`, the entry in the repository: there
    only the presence of the files is checked, because a push to a library may reuse thousands of jobs. The description
    of a package is read from the package; the one that the runner reported is ignored.
    Raises Permanent for a file that is missing, damaged, or no package.
    """
    files = (*job.artifacts, *([job.log] if job.log else []))
    if current is not None and job.reused_from and _packages(job) == {package.sha256 for package in current.packages}:
        for artifact in files:
            store.size(artifact.sha256)
        return current.model_copy(update={"sequence": job.sequence, "job_id": job.job_id})
    for artifact in files:
        store.verify(artifact.sha256)
    return RepositoryEntry(
        unit=job.unit,
        target=job.target.name,
        arch=job.target.arch,
        sequence=job.sequence,
        job_id=job.job_id,
        packages=tuple(
            _described(artifact, repositories) for artifact in job.artifacts if artifact.kind is ArtifactKind.DEB
        ),
    )


def _packages(job: JobFinished) -> set[Digest]:
    return {artifact.sha256 for artifact in job.artifacts if artifact.kind is ArtifactKind.DEB}


def _described(artifact: Artifact, repositories: RepositoryWriter) -> Artifact:
    return artifact.model_copy(update={"package": repositories.inspect(artifact)})
