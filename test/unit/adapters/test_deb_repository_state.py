"""The state of package repositories: it changes when packages do, and is believed when a repository is silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud_builder.adapters.deb.repository_state import ReleaseStates, fetch
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


class World:
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
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_changes_with_packages_and_with_nothing_else(world: World) -> None:
    first = world.state()
    assert world.later(release(date="Tue", contents="c")) == first
    assert world.later(release(packages="d")) != first


def test_is_believed_for_a_while(world: World) -> None:
    world.state()
    world.state()
    assert world.network.asked == [INRELEASE]


def test_silent_repository_counts_with_its_last_state_also_after_a_restart(world: World) -> None:
    first = world.state()
    assert world.later(None) == first
    world.start()
    assert world.state() == first
    world.file.write_text("{broken")
    world.start()
    assert world.state() != first


def test_repository_never_seen_is_unknown_and_asked_again(world: World) -> None:
    world.network.pages.clear()
    unknown = world.state()
    world.network.pages[INRELEASE] = release()
    assert world.state() == unknown
    world.now += 61
    assert world.state() != unknown


def test_each_profile_has_its_repositories(world: World) -> None:
    world.state(KIWI, "other.x86_64")
    assert world.network.asked[1:] == [
        "http://other.example.org/flat/InRelease",
        "http://other.example.org/flat/Release",
    ]


def test_rpm_md(world: World) -> None:
    world.state(RPM)
    assert world.network.asked == ["http://deb.example.org/debian/repodata/repomd.xml"]


@pytest.mark.parametrize("kiwi", [b"", b"<image>", KIWI.replace(b"sid.x86_64", b"x")])
def test_broken_description_says_so(world: World, kiwi: bytes) -> None:
    with pytest.raises(Permanent) as caught:
        world.state(kiwi)
    assert "build_root.kiwi" in caught.value.message


def test_local_repositories_and_nothing_stranger(tmp_path: Path) -> None:
    (tmp_path / "Release").write_bytes(b"x")
    for prefix in ("", "file://", "dir://"):
        assert fetch(f"{prefix}{tmp_path}/Release") == b"x"
    for url in ("ftp://h/x", "obs://x", f"{tmp_path}/none", "http://127.0.0.1:1/x"):
        with pytest.raises(OSError, match=r".+"):
            fetch(url)
