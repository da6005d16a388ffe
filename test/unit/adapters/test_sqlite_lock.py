"""The lock beside a state file: one holder, and others can see that there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud_builder.adapters.sqlite.lock import Lock, is_held
from cloud_builder.errors import Rejected


def test_who_holds_it_is_seen_and_named_until_it_lets_go(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    assert not is_held(state)
    lock = Lock(state)
    assert is_held(state)
    with pytest.raises(Rejected, match="in use by process"):
        Lock(state)
    lock.release()
    assert not is_held(state)


def test_looking_takes_nothing_away_and_makes_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite"
    is_held(state)
    assert list(tmp_path.iterdir()) == []
    Lock(state).release()
    is_held(state)
    Lock(state).release()
