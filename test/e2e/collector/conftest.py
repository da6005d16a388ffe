"""Repositories in a temporary directory: packages made on the spot, a store, a signed apt repository."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloud_builder.adapters import process
from cloud_builder.adapters.deb import binary_package
from cloud_builder.adapters.deb.repository import AptRepositories
from cloud_builder.adapters.http import Server, serve
from cloud_builder.adapters.signing.gnupg import GnupgSigner
from cloud_builder.adapters.store.directory import DirectoryStore
from cloud_builder.model.artifact import Artifact, ArtifactKind, SourcePackage

MakeDeb = Callable[..., Artifact]


@dataclass(frozen=True)
class RepositoryDirectory:
    """A store and the repositories below `root`.

    deb(name, version, arch="amd64", text="", suffix="deb", fields="")   makes, stores and describes a package
    source(name, version)                                                does the same for a native source package
    """

    store: DirectoryStore
    signer: GnupgSigner
    repositories: AptRepositories
    root: Path
    deb: MakeDeb
    source: Callable[[str, str], SourcePackage]


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> GnupgSigner:
    return GnupgSigner(tmp_path_factory.mktemp("signing"), "Test repositories")


@pytest.fixture
def repositories(tmp_path: Path, signer: GnupgSigner) -> RepositoryDirectory:
    store, root = DirectoryStore(tmp_path / "store"), tmp_path / "repositories"

    def stored(file: Path, kind: ArtifactKind) -> Artifact:
        digest, size = store.put(file)
        return Artifact(name=file.name, sha256=digest, size=size, kind=kind)

    def deb(
        name: str, version: str, arch: str = "amd64", *, text: str = "", suffix: str = "deb", fields: str = ""
    ) -> Artifact:
        tree, file = tmp_path / "tree" / name, tmp_path / f"{name}_{version}_{arch}.{suffix}"
        (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
        (tree / "usr/share" / name).mkdir(parents=True, exist_ok=True)
        (tree / "usr/share" / name / "text").write_text(text)
        (tree / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: {version}\nArchitecture: {arch}\n"
            f"Maintainer: Someone <someone@example.org>\nDescription: a test\n{fields}"
        )
        process.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", tree, file])
        package = binary_package.binary_package(binary_package.read(file))
        return stored(file, ArtifactKind(suffix)).model_copy(update={"package": package})

    def source(name: str, version: str) -> SourcePackage:
        tree = tmp_path / f"{name}-{version}"
        (tree / "debian/source").mkdir(parents=True)
        (tree / "debian/source/format").write_text("3.0 (native)\n")
        (tree / "debian/changelog").write_text(
            f"{name} ({version}) unstable; urgency=medium\n\n  * A change.\n\n"
            " -- Someone <someone@example.org>  Mon, 06 Jan 2025 10:00:00 +0000\n"
        )
        (tree / "debian/control").write_text(
            f"Source: {name}\nSection: misc\nPriority: optional\nMaintainer: Someone <someone@example.org>\n\n"
            f"Package: {name}\nArchitecture: any\nDescription: a test\n"
        )
        process.run(["dpkg-source", "-b", tree], cwd=tmp_path)
        kinds = ((".dsc", ArtifactKind.DSC), (".tar.xz", ArtifactKind.SOURCE))
        files = [stored(tmp_path / f"{name}_{version}{suffix}", kind) for suffix, kind in kinds]
        return writer.inspect_source(files)

    url = "http://127.0.0.1/repositories"
    writer = AptRepositories(root, store, signer, url=url, keep=3, grace=60)
    return RepositoryDirectory(store, signer, writer, root, deb, source)


@pytest.fixture
def server(repositories: RepositoryDirectory) -> Iterator[Server]:
    server = serve("127.0.0.1", 0, repositories.root, repositories.store)
    yield server
    server.close()
