"""Keeps the digest of every package version that was published: a version never gets other contents.

The scheduler builds other contents under the next version (`planning/publish/versions.py`); this is the last check
before they would reach a client. Some 150 bytes for each version; they are never deleted.
"""

from __future__ import annotations

from cloud_builder.model.artifact import Artifact
from cloud_builder.model.ids import RepositoryName
from cloud_builder.model.repository import RepositoryEntry
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

PUBLISHED_PACKAGE = "published-package"
"""Collection: `<repository> <architecture of the target> <name> <version> <architecture>` → the sha256.

Each architecture lists the packages of its own targets; a package for all of them may differ from one to the other."""


def changed(documents: Documents, repository: RepositoryName, entry: RepositoryEntry) -> str:
    """Returns a package of the entry that was published with other contents, as "NAME VERSION (ARCHITECTURE)"; empty:
    there is none."""
    for artifact in entry.packages:
        published = documents.get(PUBLISHED_PACKAGE, _key(repository, entry, artifact))
        if published is not None and published["sha256"] != artifact.sha256:
            assert artifact.package is not None
            return f"{artifact.package.name} {artifact.package.version} ({artifact.package.architecture})"
    return ""


def save(work: UnitOfWork, repository: RepositoryName, entry: RepositoryEntry) -> None:
    for artifact in entry.packages:
        key = _key(repository, entry, artifact)
        if work.documents.get(PUBLISHED_PACKAGE, key) is None:
            work.documents.put(PUBLISHED_PACKAGE, key, {"sha256": artifact.sha256}, rank=work.now)


def _key(repository: RepositoryName, entry: RepositoryEntry, artifact: Artifact) -> str:
    assert artifact.package is not None
    package = artifact.package
    return f"{repository} {entry.arch} {package.name} {package.version} {package.architecture}"
