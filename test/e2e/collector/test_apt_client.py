"""Real apt against a served repository: with a state directory of its own, never the machine's."""

from __future__ import annotations

import gzip
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from cloud_builder.adapters import process
from cloud_builder.adapters.http import Server
from cloud_builder.model.artifact import Artifact
from cloud_builder.model.ids import JobId, RepositoryName, UnitPath
from cloud_builder.model.repository import RepositoryEntry, SnapshotListing
from cloud_builder.planning.publish.listing import listing as snapshot_listing
from support.apt_client import Apt

NAME = RepositoryName("demo-bookworm")
START = 1_790_000_000


def publish(repositories: Any, *packages: Artifact, at: float = START) -> None:
    repositories.repositories.publish(SnapshotListing(NAME, "bookworm", {"amd64": packages}), at=at)


@pytest.fixture
def apt(repositories: Any, server: Server, tmp_path: Path) -> Apt:
    publish(repositories, repositories.deb("a", "1"), repositories.deb("data", "1", "all"))
    sources = (repositories.root / NAME / f"{NAME}.sources").read_text()
    return Apt(tmp_path / "apt", sources.replace("http://127.0.0.1/", f"{server.url}/").encode())


def test_apt_updates_and_downloads_with_the_key_of_the_snippet(apt: Apt) -> None:
    update = apt.update()
    assert update.status == 0, update.last_lines()
    policy = apt.run("apt-cache", "policy", "a").text
    assert "Candidate: 1\n" in policy
    apt.run("apt-get", "download", "a", "data")
    assert sorted(file.name for file in apt.path.glob("*.deb")) == ["a_1_amd64.deb", "data_1_all.deb"]
    apt.run("apt-get", "install", "--download-only", "--yes", "a")
    assert [file.name for file in (apt.path / "cache/archives").glob("*.deb")] == ["a_1_amd64.deb"]


def test_apt_sees_each_new_snapshot_and_asks_in_vain_for_an_unchanged_one(apt: Apt, repositories: Any) -> None:
    assert apt.update().status == 0
    assert "Hit:1" in apt.update().text
    for version in ("2", "3", "2"):
        publish(repositories, repositories.deb("a", version))
        assert apt.update().status == 0
        assert f"Candidate: {version}\n" in apt.run("apt-cache", "policy", "a").text


def test_apt_trusts_no_other_key(apt: Apt, repositories: Any, tmp_path: Path) -> None:
    source = apt.path / "etc/sources.list.d/demo.sources"
    text = source.read_text().partition("Signed-By:")[0]
    source.write_text(text + "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n")
    update = apt.update()
    assert update.status == 100
    assert "NO_PUBKEY" in update.last_lines()


def test_apt_refuses_a_changed_release(apt: Apt, repositories: Any) -> None:
    release = repositories.root / NAME / "dists/bookworm/InRelease"
    release.write_text(release.read_text().replace("Label: demo", "Label: evil"))
    update = apt.update()
    assert update.status == 100
    assert "BADSIG" in update.last_lines()


def test_apt_refuses_a_changed_index(apt: Apt, repositories: Any) -> None:
    for index in (repositories.root / NAME / "by-hash/SHA256").iterdir():
        content = index.read_bytes()
        compressed = content.startswith(b"\x1f\x8b")
        text = (gzip.decompress(content) if compressed else content).replace(b"Version: 1", b"Version: 9")
        index.write_bytes(gzip.compress(text) if compressed else text)
    update = apt.update()
    assert update.status == 100
    assert "Hash Sum mismatch" in update.text + update.last_lines() or "unexpected size" in update.last_lines()


def test_apt_refuses_a_changed_package(apt: Apt, repositories: Any) -> None:
    assert apt.update().status == 0
    (package,) = (repositories.root / NAME / "pool").rglob("a_1_amd64.deb")
    content = bytearray(package.read_bytes())
    content[-1] ^= 1
    package.unlink()
    package.write_bytes(content)
    download = apt.run("apt-get", "download", "a", fine=(100,))
    assert "Hash Sum mismatch" in download.last_lines()
    assert list(apt.path.glob("*.deb")) == []


def test_apt_never_misses_a_file_while_we_publish(apt: Apt, repositories: Any) -> None:
    kept, stop = repositories.deb("kept", "1"), Event()
    debs = [repositories.deb("a", str(version)) for version in range(2, 12)]
    published: list[int] = []
    publish(repositories, kept, debs[0])

    def publisher() -> None:
        while not stop.is_set():
            number = len(published)
            publish(repositories, kept, debs[number % len(debs)], at=START + number)
            published.append(number)

    thread = Thread(target=publisher)
    thread.start()
    try:
        rounds = 0
        while rounds < 8 or len(published) <= 8:
            rounds += 1
            update = apt.update()
            assert update.status == 0, update.text + update.last_lines()
            for file in apt.path.glob("*.deb"):
                file.unlink()
            apt.run("apt-get", "download", "a", "kept")
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def whole(repositories: Any, server: Server) -> bytes:
    """Publishes a package of every kind; returns the source for apt, with the debug component and sources."""
    symbols = repositories.deb("a-dbgsym", "1", fields="Auto-Built-Package: debug-symbols\n")
    udeb = repositories.deb("a-udeb", "1", suffix="udeb")
    packages = (repositories.deb("a", "1"), repositories.deb("data", "1", "all"), symbols, udeb)
    entry = RepositoryEntry(
        unit=UnitPath("a"),
        target="bookworm.x86_64",
        arch="x86_64",
        sequence=1,
        job_id=JobId("r.1"),
        packages=packages,
        source=repositories.source("a", "1"),
    )
    repositories.repositories.publish(snapshot_listing(NAME, "bookworm", {entry.unit_target: entry})[0], at=START)
    sources = (repositories.root / NAME / f"{NAME}.sources").read_text()
    sources = sources.replace("http://127.0.0.1/", f"{server.url}/").replace("Types: deb", "Types: deb deb-src")
    return sources.replace("Components: main", "Components: main debug").encode()


def test_apt_finds_packages_symbols_and_source_but_no_udeb(whole: bytes, tmp_path: Path) -> None:
    apt = Apt(tmp_path / "apt", whole)
    update = apt.update()
    assert update.status == 0, update.last_lines()
    assert b"W: " not in update.stdout + update.stderr
    apt.run("apt-get", "install", "--download-only", "--yes", "a", "data", "a-dbgsym")
    assert "a-udeb" not in apt.run("apt-cache", "pkgnames").text
    apt.run("apt-get", "source", "a")
    assert (apt.path / "a-1/debian/control").is_file()
    shown = apt.run("apt-cache", "showsrc", "a").text
    for field in ("Package: a", "Section: misc", "Priority: optional", "Binary: a"):
        assert f"{field}\n" in shown


def test_client_of_another_architecture_sees_packages_for_all_alone(whole: bytes, tmp_path: Path) -> None:
    apt = Apt(tmp_path / "apt", whole, "arm64")
    update = apt.update()
    assert update.status == 0, update.last_lines()
    assert apt.run("apt-cache", "pkgnames").text.split() == ["data"]
    apt.run("apt-get", "install", "--download-only", "--yes", "data")


def test_installer_finds_its_packages_in_an_index_of_their_own(whole: bytes, repositories: Any) -> None:
    suite = repositories.root / NAME / "dists/bookworm"
    index = (suite / "main/debian-installer/binary-amd64/Packages").read_text()
    assert [line for line in index.splitlines() if line.startswith("Package: ")] == ["Package: a-udeb"]
    assert " main/debian-installer/binary-amd64/Packages.gz\n" in (suite / "Release").read_text()


def test_equal_version_of_another_repository_loses_with_our_preferences(
    apt: Apt, repositories: Any, tmp_path: Path
) -> None:
    distribution = tmp_path / "distribution"
    distribution.mkdir()
    repositories.deb("a", "1", text="of the distribution")
    (tmp_path / "a_1_amd64.deb").rename(distribution / "a_1_amd64.deb")
    (distribution / "Packages").write_text(process.run(["dpkg-scanpackages", "."], cwd=distribution).text)
    (apt.path / "etc/sources.list").write_text(f"deb [trusted=yes] file:{distribution} ./\n")

    def found() -> str:
        assert apt.update().status == 0
        return apt.run("apt-get", "install", "--print-uris", "a").text

    assert "'http://" not in found()
    preferences = (repositories.root / NAME / f"{NAME}.pref").read_bytes()
    (apt.path / "etc/preferences.d/demo.pref").write_bytes(preferences)
    assert "'http://" in found()
