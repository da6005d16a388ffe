"""The contract of ports.repository."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloud_builder.adapters import process
from cloud_builder.adapters.deb.repository import AptRepositories
from cloud_builder.adapters.memory.repository import MemoryRepositories
from cloud_builder.adapters.memory.signer import MemorySigner
from cloud_builder.adapters.memory.store import MemoryStore
from cloud_builder.errors import Permanent
from cloud_builder.model.artifact import Artifact, ArtifactKind, BinaryPackage
from cloud_builder.model.ids import Digest, RepositoryName
from cloud_builder.model.repository import SnapshotListing
from cloud_builder.ports.repository import RepositoryWriter

NAME = RepositoryName("demo-bookworm")


@dataclass(frozen=True)
class RepositoryUnderTest:
    """`write(package, file)` makes a package file of the adapter's format."""

    writer: RepositoryWriter
    store: MemoryStore
    write: Callable[[BinaryPackage, Path], None]
    path: Path

    def source(self, name: str, version: str, *files: str) -> list[Artifact]:
        """Stores a source package, the description first; each adapter reads a format of its own."""
        contents = [self._stored(file, ArtifactKind.SOURCE, file) for file in files]
        sums = "".join(f" {file.sha256} {file.size} {file.name}\n" for file in contents)
        text = f"Format: 3.0 (native)\nSource: {name}\nVersion: {version}\nChecksums-Sha256:\n{sums}"
        if isinstance(self.writer, MemoryRepositories):
            text = f"{name} {version}\n" + "".join(f"{file.sha256} {file.name}\n" for file in contents)
        return [self._stored(f"{name}_{version}.dsc", ArtifactKind.DSC, text), *contents]

    def _stored(self, name: str, kind: ArtifactKind, text: str) -> Artifact:
        (self.path / name).write_text(text)
        digest, size = self.store.put(self.path / name)
        return Artifact(name=name, sha256=digest, size=size, kind=kind)

    def package(self, name: str, version: str = "1", arch: str = "amd64") -> Artifact:
        described = BinaryPackage(name=name, version=version, architecture=arch)
        file = self.path / f"{name}_{version}_{arch}.deb"
        self.write(described, file)
        digest, size = self.store.put(file)
        return Artifact(name=file.name, sha256=digest, size=size, kind=ArtifactKind.DEB, package=described)


def memory(path: Path) -> RepositoryUnderTest:
    def write(package: BinaryPackage, file: Path) -> None:
        file.write_text(f"{package.name} {package.version} {package.architecture}")

    store = MemoryStore()
    return RepositoryUnderTest(MemoryRepositories(store), store, write, path)


def apt(path: Path) -> RepositoryUnderTest:
    def write(package: BinaryPackage, file: Path) -> None:
        tree = path / "tree" / package.name
        (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
        (tree / "DEBIAN/control").write_text(
            f"Package: {package.name}\nVersion: {package.version}\nArchitecture: {package.architecture}\n"
            "Maintainer: Someone <someone@example.org>\nDescription: a test\n"
        )
        process.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", tree, file])

    store = MemoryStore()
    return RepositoryUnderTest(
        AptRepositories(path / "root", store, MemorySigner(), url="http://127.0.0.1"), store, write, path
    )


@pytest.fixture(params=[memory, apt], ids=["memory", "apt"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> RepositoryUnderTest:
    made: RepositoryUnderTest = request.param(tmp_path)
    return made


def listing(*packages: Artifact, suite: str = "bookworm") -> SnapshotListing:
    return SnapshotListing(NAME, suite, {"amd64": packages})


def test_nothing_is_live_before_the_first_publish(subject: RepositoryUnderTest) -> None:
    assert subject.writer.live(NAME) == ""


def test_published_snapshot_is_live_under_a_number_and_a_digest(subject: RepositoryUnderTest) -> None:
    snapshot = subject.writer.publish(listing(subject.package("a")), at=1e9)
    assert re.fullmatch(r"000001-[0-9a-f]{12}", snapshot)
    assert subject.writer.live(NAME) == snapshot
    assert subject.writer.live(RepositoryName("other")) == ""


def test_an_empty_repository_can_be_published(subject: RepositoryUnderTest) -> None:
    assert subject.writer.publish(listing(), at=1e9) == subject.writer.live(NAME) != ""


def test_same_content_is_the_same_snapshot(subject: RepositoryUnderTest) -> None:
    one = subject.package("a")
    first = subject.writer.publish(listing(one), at=1e9)
    assert subject.writer.publish(listing(one), at=2e9, after=first) == first


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_other_content_is_another_snapshot_with_a_higher_number(subject: RepositoryUnderTest, suite: str) -> None:
    one, two = subject.package("a"), subject.package("a", "2")
    numbers = [
        int(subject.writer.publish(each, at=1e9, after="000040-x").partition("-")[0])
        for each in (listing(one), listing(two, suite=suite), listing(one))
    ]
    assert numbers == [41, 42, 43]


def test_inspect_reads_the_metadata_of_a_package(subject: RepositoryUnderTest) -> None:
    package = subject.package("a", "1:2.0", "all").model_copy(update={"name": "x.deb"})
    found = subject.writer.inspect(package.model_copy(update={"package": None}))
    assert found == package.package


def test_inspect_rejects_a_file_that_is_no_package(subject: RepositoryUnderTest, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"no")
    digest, size = subject.store.put(tmp_path / "x")
    with pytest.raises(Permanent) as caught:
        subject.writer.inspect(Artifact(name="x.deb", sha256=digest, size=size))
    assert caught.value.code == "not-a-deb"


def test_source_is_described_by_its_stored_description(subject: RepositoryUnderTest) -> None:
    files = subject.source("a", "1:2-3", "a_2.orig.tar.xz", "a_2-3.debian.tar.xz")
    found = subject.writer.inspect_source(list(reversed(files)))
    assert (found.name, found.version, found.files[0]) == ("a", "1:2-3", files[0])
    assert sorted(file.name for file in found.files) == sorted(file.name for file in files)


def test_incomplete_source_is_rejected(subject: RepositoryUnderTest) -> None:
    files = subject.source("a", "1", "a_1.tar.xz")
    for wrong in (files[:1], [*files, subject.source("b", "1", "b_1.tar.xz")[1]]):
        with pytest.raises(Permanent) as caught:
            subject.writer.inspect_source(wrong)
        assert caught.value.code == "not-a-dsc"


def test_source_is_published_with_all_of_its_files(subject: RepositoryUnderTest) -> None:
    first = subject.writer.publish(listing(), at=1e9)
    source, other = (subject.writer.inspect_source(subject.source(name, "1", f"{name}_1.tar.xz")) for name in "ab")
    assert subject.writer.publish(SnapshotListing(NAME, "bookworm", {"amd64": ()}, sources=(source,)), at=1e9) != first
    subject.store.objects[other.files[1].sha256] = b"damaged"
    with pytest.raises(Permanent) as caught:
        subject.writer.publish(SnapshotListing(NAME, "bookworm", {"amd64": ()}, sources=(source, other)), at=1e9)
    assert caught.value.code == "object-corrupt"


def test_a_missing_or_damaged_package_leaves_the_old_snapshot_live(subject: RepositoryUnderTest) -> None:
    first = subject.writer.publish(listing(subject.package("a")), at=1e9)
    missing = subject.package("b").model_copy(update={"sha256": Digest("0" * 64)})
    damaged = subject.package("c")
    subject.store.objects[damaged.sha256] = b"c 1 amd64 damaged"
    for package, code in ((missing, "object-missing"), (damaged, "object-corrupt")):
        with pytest.raises(Permanent) as caught:
            subject.writer.publish(listing(package), at=1e9)
        assert caught.value.code == code
    assert subject.writer.live(NAME) == first
