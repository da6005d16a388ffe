"""Verifies the files of a finished job before they are published.

Each file that the request's result will name must be in the store, each package must be a package, and the source
package must be complete.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from cloud_builder.model.artifact import Artifact, ArtifactKind, SourcePackage
from cloud_builder.model.events import JobFinished
from cloud_builder.model.repository import RepositoryEntry
from cloud_builder.planning.publish.package_set import needed_names
from cloud_builder.ports.repository import RepositoryWriter
from cloud_builder.ports.store import ObjectStore

_BINARIES = frozenset({ArtifactKind.DEB, ArtifactKind.UDEB})
_SOURCES = frozenset({ArtifactKind.DSC, ArtifactKind.SOURCE})
MAX_PACKAGES_BYTES = 4 * 1024 * 1024
"""Of the list of packages of a build root that are read; a root of 1,000 packages has 40 kB."""


def verify_job(
    job: JobFinished,
    store: ObjectStore,
    repositories: RepositoryWriter,
    current: RepositoryEntry | None = None,
    made: Callable[[str], Collection[str]] = lambda name: (),
) -> RepositoryEntry:
    """Returns the repository entry of a job.

    Reads every file whole, except for a reused job with the packages of `current`, the entry in the repository: there
    only the presence of the files is checked, because a push to a library may reuse thousands of jobs. The description
    of a package is read from the package; the one that the runner reported is ignored.
    A build that makes the published packages again keeps the published source: its bytes do not change, either.
    `made(name)`: the versions in which units have made or provided a package.
    Raises Permanent for a file that is missing, damaged, or no package.
    """
    files = (*job.artifacts, *([job.log] if job.log else []))
    packages = [artifact for artifact in job.artifacts if artifact.kind in _BINARIES]
    is_same = current is not None and {p.sha256 for p in packages} == {p.sha256 for p in current.packages}
    if current is not None and is_same and job.reused_from:
        for artifact in files:
            store.size(artifact.sha256)
        return current.model_copy(update={"sequence": job.sequence, "job_id": job.job_id, "tree": job.tree})
    for artifact in files:
        store.verify(artifact.sha256)
    described = tuple(_described(artifact, repositories) for artifact in packages)
    return RepositoryEntry(
        unit=job.unit,
        target=job.target.name,
        arch=job.target.arch,
        sequence=job.sequence,
        job_id=job.job_id,
        source=current.source if current is not None and is_same and current.source else _source(job, repositories),
        packages=described,
        tree=job.tree,
        outside=_outside(job, store, described, made),
    )


def _source(job: JobFinished, repositories: RepositoryWriter) -> SourcePackage | None:
    files = [artifact for artifact in job.artifacts if artifact.kind in _SOURCES]
    return repositories.inspect_source(files) if files else None


def _described(artifact: Artifact, repositories: RepositoryWriter) -> Artifact:
    package = repositories.inspect(artifact)
    if artifact.package is not None:  # only the runner has the lists of the distribution
        package = package.model_copy(update={"in_distribution": artifact.package.in_distribution})
    return artifact.model_copy(update={"package": package})


def _outside(
    job: JobFinished, store: ObjectStore, packages: Iterable[Artifact], made: Callable[[str], Collection[str]]
) -> tuple[str, ...]:
    """Returns the names that the relations of the packages mention, that units have made, and that the build root had
    in a version that no unit has made: the distribution's."""
    mentioned = {name for artifact in packages if artifact.package for name in needed_names(artifact.package)}
    ours = {name: versions for name in mentioned if (versions := made(name))}
    if not ours:
        return ()
    installed = _installed(job, store)
    return tuple(sorted(name for name in ours.keys() & installed.keys() if installed[name] not in ours[name]))


def _installed(job: JobFinished, store: ObjectStore) -> dict[str, str]:
    """Returns the packages of the build root with their versions."""
    versions = {}
    for artifact in job.artifacts:
        if artifact.kind is ArtifactKind.PACKAGES:
            with store.open(artifact.sha256) as file:
                for line in file.read(MAX_PACKAGES_BYTES).decode(errors="replace").splitlines():
                    name, version, *_ = (*line.split(), "", "")
                    versions[name.partition(":")[0]] = version
    return versions
