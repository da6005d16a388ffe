"""The directory store beyond the contract: modes, links, leftovers, a full disk."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from cloud_builder.adapters.store.directory import DirectoryStore
from cloud_builder.errors import Bug, Retryable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


def written(path: Path, content: bytes = b"content") -> Path:
    path.write_bytes(content)
    return path


def test_objects_are_read_only_for_all(path: Path, tmp_path: Path) -> None:
    digest, _ = DirectoryStore(path).put(written(tmp_path / "in"))
    assert stat.S_IMODE((path / "objects" / digest[:2] / digest).stat().st_mode) == 0o444


def test_fetch_links_on_the_same_file_system(path: Path, tmp_path: Path) -> None:
    store = DirectoryStore(path)
    digest, _ = store.put(written(tmp_path / "in"))
    store.fetch(digest, tmp_path / "out")
    assert (tmp_path / "out").stat().st_nlink == 2


def test_fetch_copies_where_no_link_can_be_made(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    store = DirectoryStore(path)
    digest, _ = store.put(written(tmp_path / "in"))
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    store.fetch(digest, tmp_path / "out")
    assert (tmp_path / "out").stat().st_nlink == 1
    assert (tmp_path / "out").read_bytes() == b"content"


def test_two_stores_on_one_directory_share_names_and_objects(path: Path, tmp_path: Path) -> None:
    first, second = DirectoryStore(path), DirectoryStore(path)
    digest, _ = first.put(written(tmp_path / "in"))
    first.name("newest", digest)
    assert second.named("newest") == digest
    second.verify(digest)


def test_full_disk_is_retryable_and_leaves_nothing_behind(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = DirectoryStore(path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Retryable, match="No space left") as caught:
        store.put(written(tmp_path / "in"))
    assert caught.value.code == "store-full"
    assert str(path) in caught.value.hint
    assert [file for file in path.rglob("*") if file.is_file()] == []


def test_only_old_leftover_files_are_removed(path: Path) -> None:
    DirectoryStore(path)
    old, new = written(path / "tmp/old"), written(path / "tmp/new")
    os.utime(old, (0, 0))
    DirectoryStore(path)
    assert not old.exists()
    assert new.exists()


@pytest.mark.parametrize("name", ["", "..", "../x", "/etc/x", "a//b", "a/../b", ".hidden", "a/.b", "x" * 300])
def test_name_cannot_leave_the_store(path: Path, tmp_path: Path, name: str) -> None:
    store = DirectoryStore(path)
    digest, _ = store.put(written(tmp_path / "in"))
    with pytest.raises(Bug):
        store.name(name, digest)
    with pytest.raises(Bug):
        store.named(name)
