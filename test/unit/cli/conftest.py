"""A fixture for cb-ctl against a real cb-info: `mesh`, over a broker in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_builder.wiring import broker
from support.info_mesh import InfoMesh


@pytest.fixture
def mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InfoMesh]:
    monkeypatch.setenv("CB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CB_BROKER", "memory:1")
    info_mesh = InfoMesh(tmp_path)
    monkeypatch.setattr(broker, "connect", lambda _: info_mesh.broker)
    yield info_mesh
    info_mesh.close()
