"""Fixtures for all tests: a real Kafka for those that need one. Where none can be had they fail; none is skipped."""

from __future__ import annotations

import hypothesis
import pytest

from support.kafka_server import KafkaMissing, find_server

hypothesis.settings.register_profile("cb", deadline=None)  # how long an example takes is the machine's affair
hypothesis.settings.load_profile("cb")


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
