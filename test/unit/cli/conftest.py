import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_builder.wiring import broker

sys.path.insert(0, str(Path(__file__).parent))

from info_mesh import Mesh


@pytest.fixture
def mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mesh]:
    monkeypatch.setenv("CB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CB_BROKER", "memory:1")
    made = Mesh(tmp_path)
    monkeypatch.setattr(broker, "connect", lambda _: made.broker)
    yield made
    made.close()
