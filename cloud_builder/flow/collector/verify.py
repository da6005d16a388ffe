"""Verifies the files of a finished job before they are published.

Each file that the request's result will name must be in the store, each package must be a package, and the source
package must be complete.
"""

from __future__ import annotations

from cloud_builder.model.artifact import Artifact, ArtifactKind, SourcePackage
from cloud_builder.model.events import JobFinished
from cloud_builder.model.repository import RepositoryEntry
from cloud_builder.ports.repository import RepositoryWriter
from cloud_builder.ports.store import ObjectStore

_BINARIES = frozenset({ArtifactKind.DEB, ArtifactKind.UDEB})
_SOURCES = frozenset({ArtifactKind.DSC, ArtifactKind.SOURCE})


def verify_job(
    job: JobFinished, store: ObjectStore, repositories: RepositoryWriter, current: RepositoryEntry | None = None
) -> RepositoryEntry:
    """Returns the repository entry of a job.

    Reads every file whole, except for a reused job with the packages of `current`, the entry in the repository: there
    only the presence of the files is checked, because a push to a library may reuse thousands of jobs. The description
    of a package is read from the package; the one that the runner reported is ignored.
    A build that makes the published packages again keeps the published source: its bytes do not change, either.
    Raises Permanent for a file that is missing, damaged, or no package.
    """
    files = (*job.artifacts, *([job.log] if job.log else []))
    packages = [artifact for artifact in job.artifacts if artifact.kind in _BINARIES]
    is_same = current is not None and {p.sha256 for p in packages} == {p.sha256 for p in current.packages}
    if current is not None and is_same and job.reused_from:
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
        packages=tuple(_described(artifact, repositories) for artifact in packages),
        source=current.source if current is not None and is_same and current.source else _source(job, repositories),
    )


def _source(job: JobFinished, repositories: RepositoryWriter) -> SourcePackage | None:
    files = [artifact for artifact in job.artifacts if artifact.kind in _SOURCES]
    return repositories.inspect_source(files) if files else None


def _described(artifact: Artifact, repositories: RepositoryWriter) -> Artifact:
    return artifact.model_copy(update={"package": repositories.inspect(artifact)})
