"""The port of the repositories: kept from one `cb-ctl up` to the next, because clients have it in their sources."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cloud_builder.cli.startup import choose_port
from cloud_builder.errors import Rejected
from cloud_builder.model.settings import CollectorSettings


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_chosen_port_is_kept(tmp_path: Path) -> None:
    settings = CollectorSettings(port=free())
    first = choose_port(tmp_path, settings, 0)
    assert choose_port(tmp_path, settings, 0) == choose_port(tmp_path, settings, None) == first
    named = free()
    assert choose_port(tmp_path, settings, named) == choose_port(tmp_path, settings, None) == named
    assert choose_port(tmp_path / "other", settings, None) == settings.port


def test_changed_setting_replaces_the_kept_port(tmp_path: Path) -> None:
    choose_port(tmp_path, CollectorSettings(port=free()), free())
    settings = CollectorSettings(port=free())
    assert choose_port(tmp_path, settings, None) == settings.port


def test_occupied_port_is_replaced_if_any_was_requested(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = CollectorSettings(port=free())
    kept = choose_port(tmp_path, settings, 0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", kept))
        other.listen()
        assert choose_port(tmp_path, settings, None) != kept
        assert str(kept) in capsys.readouterr().err
        with pytest.raises(Rejected, match=str(kept)):
            choose_port(tmp_path, settings, kept)
