"""`cb-ctl clean` finds and removes everything of the named kinds but what is in use."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cloud_builder.files import directories
from cloud_builder.files.disk_usage import disk_usage
from cloud_builder.files.locks import exclusive_lock
from cloud_builder.model.settings import Settings
from cloud_builder.wiring import caches
from cloud_builder.wiring.caches import CacheKind

KEY = "a" * 64


class TreeRemover:
    """A sandbox whose files all belong to this user."""

    def remove(self, path: Path) -> None:
        shutil.rmtree(path)


REMOVER: Any = TreeRemover()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path / "home", cache=tmp_path / "cache")
    work = settings.home / "runner-2" / "work"
    for path in (
        work / "layers" / KEY / "upper",
        work / "layers" / f".new-{KEY}",
        work / "layers" / ".downloads",
        work / "roots" / KEY / "root",
        work / "jobs" / "r-1.1.x",
        settings.cache / "store" / "objects",
        settings.cache / "local" / "store",
        settings.cache / "local" / "work" / "layers" / KEY,
    ):
        path.mkdir(parents=True)
        (path / "file").write_text("x" * 10_000)
    return settings


def found(settings: Settings, *kinds: CacheKind) -> dict[str, bool]:
    entries = caches.find(settings, kinds or CacheKind)
    return {f"{entry.kind} {entry.path.name}": entry.is_used for entry in entries if entry.size >= 10_000}


def test_directories_of_all_kinds_are_found_with_their_size(settings: Settings) -> None:
    assert [*found(settings, *({*CacheKind} - {CacheKind.HOME}))] == [
        f"layers {KEY}", "leftovers r-1.1.x", f"leftovers .new-{KEY}", f"roots {KEY}", "downloads .downloads",
        "roots store", "local store",
    ]  # fmt: skip
    assert [*found(settings)] == [f"layers {KEY}", "roots store", "local store", "home home"]
    assert [*found(settings, CacheKind.LEFTOVERS)] == ["leftovers r-1.1.x", f"leftovers .new-{KEY}"]


def test_everything_that_is_not_in_use_is_removed(settings: Settings) -> None:
    work = settings.home / "runner-2" / "work"
    with directories.share_directory(work / "layers" / KEY), exclusive_lock(work / "layers" / ".lock"):
        used = {path.path for path in caches.find(settings, {CacheKind.LAYERS}) if path.is_used}
        assert used == {work / "layers" / KEY}
        for entry in caches.find(settings, {*CacheKind} - {CacheKind.HOME}):
            kept = entry.is_used or entry.kind is CacheKind.DOWNLOADS
            assert caches.remove(entry, REMOVER) is not kept, entry
    assert found(settings, CacheKind.LAYERS, CacheKind.LEFTOVERS, CacheKind.ROOTS, CacheKind.LOCAL) == {
        f"layers {KEY}": False
    }


def test_entry_that_was_taken_meanwhile_stays(settings: Settings) -> None:
    [entry] = [entry for entry in caches.find(settings, {CacheKind.ROOTS}) if entry.path.name == KEY]
    with directories.share_directory(entry.path):
        assert not caches.remove(entry, REMOVER)
    assert caches.remove(entry, REMOVER)
    assert not entry.path.exists()


def test_link_counts_once_and_a_missing_tree_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x" * 100_000)
    size = disk_usage(tmp_path)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert 100_000 <= disk_usage(tmp_path) <= size + 4096
    assert disk_usage(tmp_path / "none") == 0
