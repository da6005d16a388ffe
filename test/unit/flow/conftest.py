"""What several tests of flows share. `mirror` and `daemon`: the front door, beside a git with one commit."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from front_door import FILES, URL, Daemon

from cloud_builder.adapters.memory.source import MemorySource


@pytest.fixture
def mirror() -> MemorySource:
    mirror = MemorySource()
    mirror.repository(URL).commit(FILES)
    return mirror


@pytest.fixture
def daemon(mirror: MemorySource) -> Iterator[Daemon]:
    daemon = Daemon(mirror)
    yield daemon
    daemon.state.close()
