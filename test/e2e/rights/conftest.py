"""One Kafka with rights and one home for each module."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from guarded import Cluster, Daemons


@pytest.fixture(scope="module")
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.server.close()


@pytest.fixture(scope="module")
def daemons(cluster, own_home):
    daemons = Daemons(cluster, own_home)
    yield daemons
    daemons.close()
