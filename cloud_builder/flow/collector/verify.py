"""Before anything is promised: every file that a request's result will name can be fetched, and packages are what
they say."""

from __future__ import annotations

from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.events import JobFinished
from cloud_builder.model.repository import Holding
from cloud_builder.ports.repository import RepositoryWriter
from cloud_builder.ports.store import ObjectStore


def verified(job: JobFinished, store: ObjectStore, repositories: RepositoryWriter) -> Holding:
    """What the verdict gives to its repository. Reads every object whole.

    Permanent for a file that is missing, damaged, or no package; what a runner said of a package is not believed."""
    for artifact in (*job.artifacts, *([job.log] if job.log else [])):
        store.verify(artifact.sha256)
    return Holding(
        unit=job.unit,
        target=job.target.name,
        arch=job.target.arch,
        sequence=job.sequence,
        job_id=job.job_id,
        packages=tuple(
            _described(artifact, repositories) for artifact in job.artifacts if artifact.kind is ArtifactKind.DEB
        ),
    )


def _described(artifact: Artifact, repositories: RepositoryWriter) -> Artifact:
    return artifact.model_copy(update={"package": repositories.inspect(artifact)})
