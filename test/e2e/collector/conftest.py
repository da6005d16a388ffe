"""Repositories in a temporary directory: packages made on the spot, a store, a signed apt repository."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloud_builder.adapters import process
from cloud_builder.adapters.deb import binary_package
from cloud_builder.adapters.deb.repository import AptRepositories
from cloud_builder.adapters.signing.gnupg import GnupgSigner
from cloud_builder.adapters.store.directory import DirectoryStore
from cloud_builder.model.artifact import Artifact, ArtifactKind

MakeDeb = Callable[..., Artifact]


@dataclass(frozen=True)
class RepositoryDirectory:
    """`deb(name, version, arch="amd64", text="")` makes, stores and describes a package."""

    store: DirectoryStore
    signer: GnupgSigner
    repositories: AptRepositories
    root: Path
    deb: MakeDeb


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> GnupgSigner:
    return GnupgSigner(tmp_path_factory.mktemp("signing"), "Test repositories")


@pytest.fixture
def repositories(tmp_path: Path, signer: GnupgSigner) -> RepositoryDirectory:
    store, root = DirectoryStore(tmp_path / "store"), tmp_path / "repositories"

    def deb(name: str, version: str, arch: str = "amd64", text: str = "") -> Artifact:
        tree, file = tmp_path / "tree" / name, tmp_path / f"{name}_{version}_{arch}.deb"
        (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
        (tree / "usr/share" / name).mkdir(parents=True, exist_ok=True)
        (tree / "usr/share" / name / "text").write_text(text)
        (tree / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: {version}\nArchitecture: {arch}\n"
            "Maintainer: Someone <someone@example.org>\nDescription: a test\n"
        )
        process.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", tree, file])
        digest, size = store.put(file)
        package = binary_package.binary_package(binary_package.read(file))
        return Artifact(name=file.name, sha256=digest, size=size, kind=ArtifactKind.DEB, package=package)

    url = "http://127.0.0.1/repositories"
    return RepositoryDirectory(
        store, signer, AptRepositories(root, store, signer, url=url, keep=3, grace=60), root, deb
    )
