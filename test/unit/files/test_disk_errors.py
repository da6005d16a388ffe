"""Errors of a disk: Retryable with the thing, the cause and the next step."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cloud_builder.errors import Retryable
from cloud_builder.files.disk_errors import retryable_disk_errors
from cloud_builder.files.durable import replace_durably, sync_file


@pytest.mark.parametrize(
    ("number", "code", "hint"),
    [
        (errno.ENOSPC, "store-full", "Free space on the file system of /srv/store"),
        (errno.EDQUOT, "store-full", "Free space on the file system of /srv/store"),
        (errno.EACCES, "store-unreachable", f"readable and writable for uid {os.getuid()}"),
        (errno.EIO, "store-unreachable", "Check that /srv/store is mounted"),
    ],
)
def test_disk_error_names_the_action_the_cause_and_the_next_step(number: int, code: str, hint: str) -> None:
    guard = retryable_disk_errors(
        "object store /srv/store: cannot store a.deb",
        Path("/srv/store"),
        code="store-unreachable",
        full_code="store-full",
        delay=7.0,
    )
    with pytest.raises(Retryable) as caught, guard:
        raise OSError(number, os.strerror(number))
    error = caught.value
    assert error.message == f"object store /srv/store: cannot store a.deb: {os.strerror(number)}"
    assert (error.code, error.delay) == (code, 7.0)
    assert hint in error.hint


def test_full_disk_has_the_common_code_when_it_has_none_of_its_own() -> None:
    guard = retryable_disk_errors("the signing key cannot be used", Path("/k"), code="signing")
    with pytest.raises(Retryable) as caught, guard:
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.code == "signing"
    assert caught.value.hint.startswith("Free space")


def test_other_errors_pass_through() -> None:
    with pytest.raises(ValueError, match="not of the disk"), retryable_disk_errors("x", Path("/x"), code="x"):
        raise ValueError("not of the disk")


def test_durable_rename_replaces_the_old_file(tmp_path: Path) -> None:
    new, target = tmp_path / ".new", tmp_path / "name"
    target.write_bytes(b"old")
    with new.open("wb") as file:
        file.write(b"new")
        sync_file(file)
    replace_durably(new, target)
    assert target.read_bytes() == b"new"
    assert not new.exists()
