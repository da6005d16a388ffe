"""Snapshots on disk: what is written, in which order it can be interrupted, what stays and what goes."""

from __future__ import annotations

import errno
import gzip
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from debian.deb822 import Packages, Release

from cloud_builder.adapters import process
from cloud_builder.adapters.deb import snapshots
from cloud_builder.adapters.deb.repository import AptRepositories
from cloud_builder.errors import Permanent, Retryable
from cloud_builder.model.artifact import Artifact
from cloud_builder.model.ids import RepositoryName
from cloud_builder.model.repository import SnapshotListing
from support.waiting import until

NAME = RepositoryName("demo-bookworm")
START = 1_790_000_000


def listing(*packages: Artifact, **more: tuple[Artifact, ...]) -> SnapshotListing:
    return SnapshotListing(NAME, "bookworm", {"amd64": packages, **more})


def reopened(repositories: Any) -> AptRepositories:
    url = "http://127.0.0.1/repositories"
    return AptRepositories(repositories.root, repositories.store, repositories.signer, url=url, keep=3, grace=60)


def read_all(repository: Path) -> set[str]:
    """Reads as apt does: InRelease, each index by its hash, each package; the names of the packages."""
    names = set()
    release = Release((repository / "dists/bookworm/InRelease").read_text())
    for row in release["SHA256"]:
        if row["name"].endswith(".gz"):
            index = repository / "dists/bookworm" / row["name"]
            text = gzip.decompress((index.parent / "by-hash/SHA256" / row["sha256"]).read_bytes())
            for stanza in Packages.iter_paragraphs(text, use_apt_pkg=False):
                assert (repository / stanza["Filename"]).stat().st_size == int(stanza["Size"])
                names.add(stanza["Package"])
    return names


def files_below(path: Path) -> set[str]:
    return {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file() and not file.is_symlink()}


def test_a_snapshot_is_a_signed_apt_repository(repositories: Any) -> None:
    both = repositories.deb("data", "1", "all")
    snapshot = repositories.repositories.publish(
        listing(repositories.deb("a", "1"), both, arm64=(repositories.deb("a", "1", "arm64"), both)), at=START + 0.9
    )
    path = repositories.root / NAME
    assert snapshot.startswith("000001-")
    assert repositories.repositories.live(NAME) == snapshot
    assert read_all(path) == {"a", "data"}
    release = Release((path / "dists/bookworm/Release").read_text())
    assert (release["Suite"], release["Codename"], release["Architectures"]) == ("bookworm", "bookworm", "amd64 arm64")
    assert release["Acquire-By-Hash"] == "yes"
    assert "Valid-Until" not in release
    suite = path / "dists/bookworm"
    process.run(["gpgv", "--keyring", path / "key.gpg", suite / "InRelease"])
    process.run(["gpgv", "--keyring", path / "key.gpg", suite / "Release.gpg", suite / "Release"])
    assert int((suite / "InRelease").stat().st_mtime) == START


def test_snippets_for_apt_lie_beside_it(repositories: Any) -> None:
    repositories.repositories.publish(listing(), at=START)
    path = repositories.root / NAME
    assert f"URIs: http://127.0.0.1/repositories/{NAME}\nSuites: bookworm\n" in (path / f"{NAME}.sources").read_text()
    assert "BEGIN PGP PUBLIC KEY BLOCK" in (path / f"{NAME}.sources").read_text()
    assert (path / f"{NAME}.list").read_text().startswith("deb [signed-by=")
    assert f"Pin: release o=Cloud Builder,l={NAME}\n" in (path / f"{NAME}.pref").read_text()
    assert "BEGIN PGP PUBLIC KEY BLOCK" in (path / "key.asc").read_text()


def test_the_same_content_is_the_same_snapshot_also_after_a_restart(repositories: Any) -> None:
    same = listing(repositories.deb("a", "1"))
    first = repositories.repositories.publish(same, at=START)
    before = {file: (repositories.root / file).stat().st_mtime_ns for file in files_below(repositories.root)}
    assert repositories.repositories.publish(same, at=START + 9) == first
    assert reopened(repositories).publish(same, at=START + 99) == first
    assert {file: (repositories.root / file).stat().st_mtime_ns for file in files_below(repositories.root)} == before


def test_numbers_and_dates_grow_even_when_the_clock_does_not(repositories: Any) -> None:
    one, two = listing(repositories.deb("a", "1")), listing(repositories.deb("a", "2"))
    names, dates = [], []
    for number in range(4):
        names.append(repositories.repositories.publish((one, two)[number % 2], at=START - number, after="000041-x"))
        dates.append((repositories.root / NAME / "dists/bookworm/InRelease").stat().st_mtime)
    assert [snapshots.number(name) for name in names] == [42, 43, 44, 45]
    assert names[0].partition("-")[2] == names[2].partition("-")[2]
    assert dates == sorted(set(dates))


def test_a_rebuilt_file_of_the_same_name_does_not_disturb_the_old_one(repositories: Any) -> None:
    old, new = repositories.deb("a", "1", text="old"), repositories.deb("a", "1", text="new")
    assert old.name == new.name
    assert old.sha256 != new.sha256
    for each in (old, new):
        repositories.repositories.publish(listing(each), at=START)
    files = files_below(repositories.root / NAME / "pool")
    assert {file.split("/")[1] for file in files} == {old.sha256, new.sha256}


def test_old_snapshots_go_with_what_only_they_need(repositories: Any) -> None:
    kept, debs = repositories.deb("kept", "1"), [repositories.deb("a", str(version)) for version in range(7)]
    for number, deb in enumerate(debs):
        repositories.repositories.publish(listing(deb, kept), at=START + 1000 * number)
    stored = snapshots.Snapshots(repositories.root / NAME)
    assert [snapshots.number(name) for name in stored.names()] == [5, 6, 7]
    pool = {file.split("/")[1] for file in files_below(repositories.root / NAME / "pool")}
    assert pool == {kept.sha256, *(deb.sha256 for deb in debs[-3:])}
    assert len(files_below(repositories.root / NAME / "by-hash")) == 3 * 2 + len(["empty", "empty.gz"])
    assert read_all(repositories.root / NAME) == {"a", "kept"}


def test_what_was_live_a_moment_ago_stays_for_its_readers(repositories: Any) -> None:
    debs = [repositories.deb("a", str(version)) for version in range(7)]
    for number, deb in enumerate(debs):
        repositories.repositories.publish(listing(deb), at=START + number)
    assert len(snapshots.Snapshots(repositories.root / NAME).names()) == 7


def test_a_reader_in_the_middle_of_publishing_never_misses_a_file(repositories: Any) -> None:
    path, stop = repositories.root / NAME, Event()
    kept, debs = repositories.deb("kept", "1"), [repositories.deb("a", str(version)) for version in range(10)]
    repositories.repositories.publish(listing(kept, debs[0]), at=START)
    rounds: list[set[str]] = []
    failures: list[Exception] = []

    def read() -> None:
        while not (stop.is_set() and rounds):
            try:
                rounds.append(read_all(path))
            except Exception as error:
                failures.append(error)
                return

    readers = [Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(30):
        repositories.repositories.publish(listing(kept, debs[number % 10]), at=START + number)
    stop.set()
    for reader in readers:
        reader.join()
    assert failures == []
    assert all(names == {"a", "kept"} for names in rounds)


STEPS = ("chmod", "hardlink_to", "rename", "symlink_to")


@pytest.fixture
def dies_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """The process is killed at the n-th change of the file system: nothing after it is carried out."""

    def arm(number: int) -> None:
        count = iter(range(10_000))

        def step(real: Callable[..., Any]) -> Callable[..., Any]:
            def stepped(*arguments: Any, **more: Any) -> Any:
                if next(count) >= number:
                    raise KeyboardInterrupt
                return real(*arguments, **more)

            return stepped

        for name in STEPS:
            monkeypatch.setattr(Path, name, step(getattr(Path, name)))

    yield arm
    monkeypatch.undo()


@pytest.mark.parametrize("number", range(0, 24))
def test_killed_at_any_step_old_or_new_is_live_and_the_next_start_goes_on(
    repositories: Any, dies_at: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = repositories.root / NAME
    old, new = repositories.deb("a", "1"), repositories.deb("b", "1")
    repositories.repositories.publish(listing(old), at=START)
    dies_at(number)
    try:
        repositories.repositories.publish(listing(old, new), at=START + 1)
    except KeyboardInterrupt:
        assert read_all(path) in ({"a"}, {"a", "b"})
    monkeypatch.undo()
    snapshot = reopened(repositories).publish(listing(old, new), at=START + 2)
    assert repositories.repositories.live(NAME) == snapshot
    assert read_all(path) == {"a", "b"}
    assert list(path.rglob(".*")) == []


PUBLISHER = """
import sys
from itertools import count
from pathlib import Path
from cloud_builder.adapters.deb.repository import AptRepositories
from cloud_builder.adapters.memory.signer import MemorySigner
from cloud_builder.adapters.store.directory import DirectoryStore
from cloud_builder.model.artifact import Artifact
from cloud_builder.model.repository import SnapshotListing
root, store, *debs = sys.argv[1:]
debs = [Artifact.model_validate_json(deb) for deb in debs]
writer = AptRepositories(Path(root), DirectoryStore(Path(store)), MemorySigner(), url="http://x", keep=3, grace=0)
for number in count():
    listed = (debs[0], debs[1 + number % (len(debs) - 1)])
    writer.publish(SnapshotListing("demo-bookworm", "bookworm", {"amd64": listed}), at=1_790_000_000 + number * 1000)
"""


@pytest.mark.parametrize("published", [1, 2, 7, 20])
def test_killed_for_real_it_goes_on_from_what_is_live(repositories: Any, tmp_path: Path, published: int) -> None:
    debs = [repositories.deb(name, version) for name, version in (("kept", "1"), ("a", "1"), ("a", "2"), ("a", "3"))]
    texts = [deb.model_dump_json() for deb in debs]
    path = repositories.root / NAME

    def is_published() -> bool:
        assert child.poll() is None, child.stdout and child.stdout.read()
        return snapshots.number(repositories.repositories.live(NAME)) >= published

    child = process.spawn([sys.executable, "-c", PUBLISHER, repositories.root, tmp_path / "store", *texts])
    with child:
        until(is_published, f"snapshot {published}")
        child.kill()
    assert read_all(path) == {"kept", "a"}
    number = snapshots.number(repositories.repositories.live(NAME))
    snapshot = reopened(repositories).publish(listing(debs[0]), at=START + 1e6)
    assert snapshots.number(snapshot) in (number + 1, number + 2)
    assert read_all(path) == {"kept"}
    assert list(path.rglob(".*")) == []


def test_orphans_of_a_killed_writer_are_swept(repositories: Any) -> None:
    path, same = repositories.root / NAME, listing(repositories.deb("a", "1"))
    repositories.repositories.publish(same, at=START)
    before = files_below(path)
    for orphan in ("pool/ff/" + "f" * 64 + "/x.deb", "by-hash/SHA256/" + "e" * 64, "snapshots/.000002-x/files"):
        (path / orphan).parent.mkdir(parents=True, exist_ok=True)
        (path / orphan).write_text("orphan")
    reopened(repositories).publish(same, at=START)
    assert files_below(path) == before


def test_a_full_disk_leaves_the_old_snapshot_live(repositories: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first = repositories.repositories.publish(listing(repositories.deb("a", "1")), at=START)
    second = listing(repositories.deb("b", "1"))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Retryable, match="No space left") as caught:
        repositories.repositories.publish(second, at=START + 1)
    assert str(repositories.root) in caught.value.hint
    assert repositories.repositories.live(NAME) == first
    monkeypatch.undo()
    repositories.repositories.publish(second, at=START + 1)
    assert read_all(repositories.root / NAME) == {"b"}


def test_a_missing_package_changes_nothing(repositories: Any) -> None:
    first = repositories.repositories.publish(listing(repositories.deb("a", "1")), at=START)
    gone = repositories.deb("b", "1").model_copy(update={"sha256": "0" * 64})
    with pytest.raises(Permanent) as caught:
        repositories.repositories.publish(listing(gone), at=START + 1)
    assert caught.value.code == "object-missing"
    assert repositories.repositories.live(NAME) == first


@pytest.mark.parametrize("name", ["../x", "", ".x", "a/b", "a\nb"])
def test_names_cannot_leave_the_root(repositories: Any, name: str) -> None:
    for bad in (SnapshotListing(RepositoryName(name), "bookworm", {}), SnapshotListing(NAME, name, {})):
        with pytest.raises(Permanent) as caught:
            repositories.repositories.publish(bad, at=START)
        assert caught.value.code == "repository-name"


def test_inspect_reads_the_file_and_leaves_nothing(repositories: Any) -> None:
    deb = repositories.deb("a", "1")
    lied = deb.model_copy(update={"package": None})
    assert repositories.repositories.inspect(lied) == deb.package
    assert files_below(repositories.root) == set()
