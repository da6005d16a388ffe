"""Locked directories: which of them are in use, and which are abandoned."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from cloud_builder.files.directories import abandoned_directories, own_directory, share_directory


def test_owned_directory_is_not_abandoned_until_its_owner_leaves(tmp_path: Path) -> None:
    with own_directory(tmp_path / "owned"):
        assert list(abandoned_directories(tmp_path)) == []
        with share_directory(tmp_path / "owned") as is_shared:
            assert not is_shared
    assert list(abandoned_directories(tmp_path)) == [tmp_path / "owned"]


def test_shared_directory_has_several_readers_and_is_not_abandoned(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    with share_directory(tmp_path / "root") as first, share_directory(tmp_path / "root") as second:
        assert first and second
        assert list(abandoned_directories(tmp_path)) == []


def test_missing_directory_cannot_be_shared(tmp_path: Path) -> None:
    with share_directory(tmp_path / "missing") as is_shared:
        assert not is_shared


def test_owning_an_existing_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    with pytest.raises(FileExistsError), own_directory(tmp_path / "job"):
        raise AssertionError("two owners")


def test_abandoned_directories_match_the_pattern_and_skip_files(tmp_path: Path) -> None:
    for name in ("run-1", "run-2", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "run-3").touch()
    assert [path.name for path in abandoned_directories(tmp_path, "run-*")] == ["run-1", "run-2"]


def test_directory_of_a_killed_process_is_abandoned(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from cloud_builder.files.directories import own_directory\n"
        "with own_directory(pathlib.Path(sys.argv[1])): print('owned', flush=True); sys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "job")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert owner.stdout is not None and owner.stdout.readline() == b"owned\n"
        assert list(abandoned_directories(tmp_path)) == []
    finally:
        owner.kill()
        owner.communicate()
    assert list(abandoned_directories(tmp_path)) == [tmp_path / "job"]


def test_directory_swept_between_creation_and_lock_is_created_again(tmp_path: Path, monkeypatch) -> None:
    directory, swept = tmp_path / "job", []

    def flock(descriptor: int, operation: int) -> None:
        if not swept:  # The sweep of another process comes first.
            swept.append(True)
            for abandoned in abandoned_directories(tmp_path):
                abandoned.rmdir()
        real_flock(descriptor, operation)

    real_flock = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", flock)
    with own_directory(directory):
        assert swept and directory.is_dir()
        assert list(abandoned_directories(tmp_path)) == []


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    before = _open_descriptors()
    with own_directory(tmp_path / "job"), share_directory(tmp_path / "job"):
        list(abandoned_directories(tmp_path))
    assert _open_descriptors() == before


def _open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
