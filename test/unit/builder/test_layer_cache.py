"""When two layers are the same one, and who may use or delete one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pytest

from cloud_builder.builder import locked_dirs
from cloud_builder.builder.build_log import Canceled
from cloud_builder.builder.layer_cache import layer_key
from cloud_builder.model.artifact import Artifact, ArtifactKind
from cloud_builder.model.ids import Digest
from cloud_builder.ports.recipe import PackageSource
from support.waiting import LIMIT

SOURCE = PackageSource("greet", "1.2", Path("/a"), "tree", build_depends=(("Build-Depends", "libgreet-dev"),))
A, B = (Artifact(name=f"{n}.deb", sha256=Digest(n * 64), size=1, kind=ArtifactKind.DEB) for n in "ab")


def key(recipe="deb-1", root="r", arch="x86_64", source=SOURCE, offered=(A, B)) -> str:
    return layer_key(recipe, root, arch, source, offered)


@pytest.mark.parametrize(
    "same",
    [
        {"offered": (B, A)},
        {"offered": (A, B, A)},
        {"source": replace(SOURCE, name="other", version="2", directory=Path("/b"), epoch=1)},
    ],
)
def test_what_does_not_change_what_is_installed_shares_a_layer(same: dict) -> None:
    assert key(**same) == key()


@pytest.mark.parametrize(
    "other",
    [
        {"recipe": "deb-2"},
        {"root": "q"},
        {"arch": "aarch64"},
        {"offered": (A,)},
        {"source": replace(SOURCE, build_depends=(("Build-Depends", "libgreet-dev (>= 2)"),))},
        {"source": replace(SOURCE, build_depends=(("Build-Conflicts", "libgreet-dev"),))},
    ],
)
def test_what_may_change_what_is_installed_makes_another_layer(other: dict) -> None:
    assert key(**other) != key()


def test_a_directory_in_use_is_not_taken_for_abandoned(tmp_path: Path) -> None:
    with locked_dirs.own_directory(tmp_path / "owned"):
        assert list(locked_dirs.abandoned_directories(tmp_path)) == []
        with locked_dirs.share_directory(tmp_path / "owned") as there:
            assert not there
    assert list(locked_dirs.abandoned_directories(tmp_path)) == [tmp_path / "owned"]
    with locked_dirs.share_directory(tmp_path / "owned") as one, locked_dirs.share_directory(tmp_path / "owned") as two:
        assert one and two
        assert list(locked_dirs.abandoned_directories(tmp_path)) == []


def test_a_directory_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    with locked_dirs.share_directory(tmp_path / "missing") as there:
        assert not there


def test_waiting_for_another_maker_ends_with_a_cancel(tmp_path: Path) -> None:
    cancel, ended = Event(), Event()

    def wait() -> None:
        with pytest.raises(Canceled), locked_dirs.exclusive_lock(tmp_path / "lock", cancel):
            raise AssertionError("two at once")
        ended.set()

    with locked_dirs.exclusive_lock(tmp_path / "lock", Event()):
        waiter = Thread(target=wait)
        waiter.start()
        cancel.set()
        waiter.join(LIMIT)
    assert ended.is_set()
