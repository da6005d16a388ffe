"""The facts that `cb-ctl doctor` collects, by the settings and the running daemons."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cloud_builder.adapters.machine import host
from cloud_builder.adapters.sqlite.lock import Lock
from cloud_builder.model.settings import CollectorSettings, Settings
from cloud_builder.wiring import doctor


@pytest.fixture
def port_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Settings with a port that another process uses."""
    monkeypatch.setattr(host, "try_sandbox", lambda work: None)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield Settings(home=tmp_path, cache=tmp_path, collector=CollectorSettings(port=listener.getsockname()[1]))


def test_port_in_use_is_reported(port_in_use: Settings) -> None:
    port = doctor.all_facts(port_in_use, None, is_up=False).port
    assert port is not None and port[1] is not None


def test_port_of_a_running_collector_is_not_probed(port_in_use: Settings) -> None:
    (port_in_use.home / "collector").mkdir()
    lock = Lock(port_in_use.home / "collector" / "state.sqlite")
    assert doctor.all_facts(port_in_use, None, is_up=False).port is None
    lock.release()
    assert doctor.all_facts(port_in_use, None, is_up=False).port is not None
