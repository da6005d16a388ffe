"""One Kafka with rights and one home for each module."""

from __future__ import annotations

import pytest

from e2e.rights.acl_cluster import Cluster, Daemons


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
