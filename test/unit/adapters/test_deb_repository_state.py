"""State of package repositories: it changes with their packages, and is kept while a repository is unreachable."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud_builder.adapters.deb.repository_state import OfflineStates, ReleaseStates, fetch
from cloud_builder.errors import Permanent

KIWI = b"""<image>
  <profiles><profile name="sid.x86_64"/><profile name="other.x86_64"/></profiles>
  <preferences><packagemanager>apt</packagemanager></preferences>
  <repository distribution="sid"><source path="http://deb.example.org/debian/"/></repository>
  <repository profiles="other.x86_64"><source path="http://other.example.org/flat"/></repository>
</image>"""
RPM = KIWI.replace(b">apt<", b">dnf4<")
INRELEASE = "http://deb.example.org/debian/dists/sid/InRelease"
RELEASE = """\
Date: {date}
SHA256:
 {packages} 100 main/binary-amd64/Packages.xz
 {contents} 100 main/Contents-amd64.gz
"""


def release(date: str = "Mon", packages: str = "a", contents: str = "b") -> bytes:
    return RELEASE.format(date=date, packages=packages * 64, contents=contents * 64).encode()


class Network:
    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {INRELEASE: release()}
        self.asked: list[str] = []

    def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        if url not in self.pages:
            raise OSError("no such page")
        return self.pages[url]


class Repositories:
    def __init__(self, path: Path) -> None:
        self.file = path / "states.json"
        self.network = Network()
        self.now = 1000.0
        self.start()

    def start(self) -> None:
        self.states = ReleaseStates(self.file, 300, fetch=self.network, clock=lambda: self.now)

    def state(self, kiwi: bytes = KIWI, *profiles: str) -> str:
        return self.states.state(kiwi, profiles or ["sid.x86_64"])

    def later(self, page: bytes | None) -> str:
        self.now += 301
        if page is None:
            self.network.pages.clear()
        else:
            self.network.pages[INRELEASE] = page
        return self.state()


@pytest.fixture
def repositories(tmp_path: Path) -> Repositories:
    return Repositories(tmp_path)


def test_state_changes_only_when_package_lists_change(repositories: Repositories) -> None:
    first = repositories.state()
    assert repositories.later(release(date="Tue", contents="c")) == first
    assert repositories.later(release(packages="d")) != first


def test_state_is_not_fetched_again_within_its_lifetime(repositories: Repositories) -> None:
    repositories.state()
    repositories.state()
    assert repositories.network.asked == [INRELEASE]


def test_state_is_shared_by_processes_with_one_file(repositories: Repositories) -> None:
    first = repositories.state()
    repositories.state(KIWI.replace(b"deb.example", b"other.example"))
    mesh, other = repositories.states, Repositories(repositories.file.parent)
    repositories.network.pages[INRELEASE] = other.network.pages[INRELEASE] = release(packages="d")
    assert (other.state(), other.network.asked) == (first, [])
    other.now = repositories.now = 1301.0
    newer = other.state()
    assert newer != first
    repositories.start()
    assert repositories.state() == newer == mesh.state(KIWI, ["sid.x86_64"])


def test_unverified_repositories_are_named_without_network(repositories: Repositories) -> None:
    kiwi = KIWI.replace(b'<repository distribution="sid">', b'<repository repository_gpgcheck="false">')
    for states in (repositories.states, OfflineStates()):
        assert states.unverified(kiwi, ["sid.x86_64"]) == ("http://deb.example.org/debian/",)
        assert states.unverified(KIWI, ["sid.x86_64", "other.x86_64"]) == ()
    assert repositories.network.asked == []


def test_unreachable_repository_keeps_its_state_across_a_restart(repositories: Repositories) -> None:
    first = repositories.state()
    assert repositories.later(None) == first
    repositories.start()
    assert repositories.state() == first
    repositories.file.write_text("{broken")
    repositories.start()
    assert repositories.state() != first


def test_state_of_an_unreachable_repository_is_fetched_again(repositories: Repositories) -> None:
    repositories.network.pages.clear()
    unknown = repositories.state()
    repositories.network.pages[INRELEASE] = release()
    assert repositories.state() == unknown
    repositories.now += 61
    assert repositories.state() != unknown


def test_state_of_a_profile_covers_only_its_repositories(repositories: Repositories) -> None:
    repositories.state(KIWI, "other.x86_64")
    assert repositories.network.asked[1:] == [
        "http://other.example.org/flat/InRelease",
        "http://other.example.org/flat/Release",
    ]


def test_state_of_an_rpm_repository_is_its_repomd(repositories: Repositories) -> None:
    repositories.state(RPM)
    assert repositories.network.asked == ["http://deb.example.org/debian/repodata/repomd.xml"]


@pytest.mark.parametrize("kiwi", [b"", b"<image>", KIWI.replace(b"sid.x86_64", b"x")])
def test_broken_description_is_an_error_that_names_the_file(repositories: Repositories, kiwi: bytes) -> None:
    with pytest.raises(Permanent) as caught:
        repositories.state(kiwi)
    assert "build_root.kiwi" in caught.value.message


def test_fetch_reads_local_files_and_rejects_other_schemes(tmp_path: Path) -> None:
    (tmp_path / "Release").write_bytes(b"x")
    for prefix in ("", "file://", "dir://"):
        assert fetch(f"{prefix}{tmp_path}/Release") == b"x"
    for url in ("ftp://h/x", "obs://x", f"{tmp_path}/none", "http://127.0.0.1:1/x"):
        with pytest.raises(OSError, match=r".+"):
            fetch(url)
