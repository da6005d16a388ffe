"""The lock file: one owner at a time, and waiting that ends when it is canceled."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread

import pytest

from cloud_builder.errors import Retryable
from cloud_builder.files.locks import exclusive_lock
from support.waiting import LIMIT


def test_waiting_for_the_lock_ends_when_canceled(tmp_path: Path) -> None:
    cancel, ended = Event(), Event()

    def wait() -> None:
        with pytest.raises(Retryable) as caught, exclusive_lock(tmp_path / "lock", cancel):
            raise AssertionError("two owners")
        assert caught.value.code == "canceled"
        ended.set()

    with exclusive_lock(tmp_path / "lock", Event()):
        waiter = Thread(target=wait)
        waiter.start()
        cancel.set()
        waiter.join(LIMIT)
    assert ended.is_set()


@pytest.mark.parametrize("cancel", [None, Event()])
def test_next_owner_gets_the_lock_when_it_is_released(tmp_path: Path, cancel: Event | None) -> None:
    got_lock = Event()

    def wait() -> None:
        with exclusive_lock(tmp_path / "lock", cancel):
            got_lock.set()

    with exclusive_lock(tmp_path / "lock"):
        waiter = Thread(target=wait)
        waiter.start()
        assert not got_lock.is_set()
    waiter.join(LIMIT)
    assert got_lock.is_set()


def test_directory_of_the_lock_file_is_created(tmp_path: Path) -> None:
    with exclusive_lock(tmp_path / "git" / "source.lock"):
        assert (tmp_path / "git" / "source.lock").exists()
