"""The lock beside a state file: one holder, which other processes can see."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud_builder.adapters.sqlite.lock import Lock, is_held
from cloud_builder.errors import Rejected


def test_lock_is_held_and_names_its_holder_until_release(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    assert not is_held(state)
    lock = Lock(state)
    assert is_held(state)
    with pytest.raises(Rejected, match="in use by process"):
        Lock(state)
    lock.release()
    assert not is_held(state)


def test_is_held_takes_no_lock_and_makes_no_file(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    is_held(state)
    assert list(tmp_path.iterdir()) == []
    Lock(state).release()
    is_held(state)
    Lock(state).release()
