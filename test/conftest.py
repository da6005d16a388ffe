"""Fixtures for all tests: a real Kafka for those that need one. Where none can be had they fail; none is skipped.

`make test` shares the tests among several processes (`pytest -n N`), because most of the time a test
waits for a daemon. Tests that share a mesh or a workspace go to one process: those of a file, or of a directory below
test/e2e, for one account.
"""

from __future__ import annotations

import re

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from support.kafka_server import KafkaMissing, find_server

hypothesis.settings.register_profile("cb", deadline=None)  # how long an example takes is the machine's affair
hypothesis.settings.load_profile("cb")


class SharedFixturesScheduling(LoadScopeScheduling):
    """Gives one process all tests that share a mesh or a workspace."""

    def _split_scope(self, nodeid: str) -> str:
        """Returns the group of a test: its file, or its directory below test/e2e, and the account of its mesh."""
        path, _, name = nodeid.partition("::")
        below = re.match(r"test/e2e/\w+(?=/)", path)
        account = re.search(r"\[(root|user)\b", name)
        return f"{below[0] if below else path} {account[1] if account else ''}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return SharedFixturesScheduling(config, log)


def running_server():
    try:
        server = find_server()
        server.start()
    except KafkaMissing as error:
        pytest.fail(str(error), pytrace=False)
    return server


@pytest.fixture(scope="session")
def kafka_server():
    """A running Kafka with `settings`, `stop()` and `start()`, shared by the whole run: leave it running."""
    server = running_server()
    yield server
    server.close()


@pytest.fixture(scope="session")
def kafka(kafka_server):
    """Returns the BrokerSettings of the real Kafka."""
    return kafka_server.settings


@pytest.fixture
def own_kafka_server():
    """A Kafka of one's own, empty, to be stopped and started, and thrown away."""
    server = running_server()
    yield server
    server.close()
