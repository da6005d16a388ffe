"""Fixtures for tests of flows. `mirror` and `daemon`: the request harness, and a git in memory with one commit."""

from collections.abc import Iterator

import pytest

from cloud_builder.adapters.memory.source import MemorySource
from support.request_harness import FILES, URL, RequestHarness


@pytest.fixture
def mirror() -> MemorySource:
    mirror = MemorySource()
    mirror.repository(URL).commit(FILES)
    return mirror


@pytest.fixture
def daemon(mirror: MemorySource) -> Iterator[RequestHarness]:
    daemon = RequestHarness(mirror)
    yield daemon
    daemon.state.close()
