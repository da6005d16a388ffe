"""Before anything is promised: every file that a request's result will name can be fetched, and packages are what
they say."""

from __future__ import annotations

from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.events import JobFinished
from cloud_builder.model.ids import Digest
from cloud_builder.model.repository import RepositoryEntry
from cloud_builder.ports.repository import RepositoryWriter
from cloud_builder.ports.store import ObjectStore


def verified(
    job: JobFinished, store: ObjectStore, repositories: RepositoryWriter, known: RepositoryEntry | None = None
) -> RepositoryEntry:
    """What the verdict gives to its repository. Reads every object whole; of a job that was not built anew, and whose
    packages are what `known` holds, only looks whether they are there: a push to a library may have thousands.

    Permanent for a file that is missing, damaged, or no package; what a runner said of a package is not believed."""
    files = (*job.artifacts, *([job.log] if job.log else []))
    if known is not None and job.reused_from and _packages(job) == {package.sha256 for package in known.packages}:
        for artifact in files:
            store.size(artifact.sha256)
        return known.model_copy(update={"sequence": job.sequence, "job_id": job.job_id})
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
