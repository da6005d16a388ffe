"""What the doctor looks at, by the settings and what runs already."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cloud_builder.adapters.machine import host
from cloud_builder.adapters.sqlite.lock import Lock
from cloud_builder.model.settings import CollectorSettings, Settings
from cloud_builder.wiring import doctor


@pytest.fixture
def taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Settings with a port that somebody has."""
    monkeypatch.setattr(host, "try_sandbox", lambda work: None)
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        somebody.listen()
        yield Settings(home=tmp_path, cache=tmp_path, collector=CollectorSettings(port=somebody.getsockname()[1]))


def test_a_port_that_somebody_has_is_a_finding(taken: Settings) -> None:
    port = doctor.whole(taken, None, is_up=False).port
    assert port is not None and port[1] is not None


def test_the_port_of_a_collector_that_runs_is_its_own(taken: Settings) -> None:
    (taken.home / "collector").mkdir()
    lock = Lock(taken.home / "collector" / "state.sqlite")
    assert doctor.whole(taken, None, is_up=False).port is None
    lock.release()
    assert doctor.whole(taken, None, is_up=False).port is not None
