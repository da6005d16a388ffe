"""A topic of one's own on the `broker` of the test module."""

from uuid import uuid4

import pytest

from cloud_builder.model.role import Role
from cloud_builder.model.topics import Topic


@pytest.fixture
def topic(broker) -> str:
    name = f"cb.test-{uuid4().hex[:8]}"
    broker.ensure_topics([Topic(name, Role.CLIENT)])
    return name
