"""Events stay readable for later versions, and the topic table is complete.

The samples in test/golden/events were sent by older writers: add samples, but never change or remove one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cloud_builder.model.events import BuildRequested, Payload
from cloud_builder.model.role import Role
from cloud_builder.model.topics import DEAD_LETTER, QUEUE, ROUTES, TOPICS, route_of, topics_read_by

SAMPLES = Path(__file__).parents[2] / "golden" / "events"
EVENTS = {f"{route.event.type}-{route.event.version}": route.event for route in ROUTES}


def sample(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return body


def with_unknown_fields(value: Any) -> Any:
    """Returns the body as a newer writer sends it: with one more field in every object."""
    if isinstance(value, dict):
        return {**{key: with_unknown_fields(item) for key, item in value.items()}, "added-later": {"x": [1]}}
    if isinstance(value, list):
        return [with_unknown_fields(item) for item in value]
    return value


def test_every_event_has_a_sample_and_every_sample_an_event() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == set(EVENTS)


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_sample_is_read_and_written_back_unchanged(name: str) -> None:
    body = sample(name)
    assert EVENTS[name].model_validate(body).model_dump(mode="json", exclude_unset=True) == body


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_unknown_fields_are_ignored(name: str) -> None:
    free_form = {"body", "args", "data", "timings", "capabilities"}
    body = {key: value if key in free_form else with_unknown_fields(value) for key, value in sample(name).items()}
    assert EVENTS[name].model_validate({**body, "added-later": 1}) == EVENTS[name].model_validate(sample(name))


@pytest.mark.parametrize("event", EVENTS.values(), ids=sorted(EVENTS))
def test_event_is_frozen_and_has_a_docstring(event: type[Payload]) -> None:
    assert event.model_config["frozen"]
    assert event.__doc__


def test_each_event_has_one_topic() -> None:
    types = [route.event.type for route in ROUTES]
    assert len(types) == len(set(types))
    assert all(route_of(route.event.type) is route for route in ROUTES)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.event.type)
def test_route_has_a_field_as_key_and_a_reader(route: Any) -> None:
    assert route.key in route.event.model_fields
    assert route.readers


def test_topics_have_distinct_names() -> None:
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)


def test_only_compacted_topics_are_kept_for_ever() -> None:
    assert all(topic.compacted or topic.retention > 0 for topic in TOPICS)


@pytest.mark.parametrize("role", Role)
def test_role_reads_the_topics_of_its_routes(role: Role) -> None:
    meant = {route.topic for route in ROUTES if role in route.readers}
    assert set(topics_read_by(role)) == meant


def test_every_role_has_a_topic_that_only_it_writes() -> None:
    writers = {topic.writer for topic in TOPICS if topic is not DEAD_LETTER}
    assert writers == set(Role)


@pytest.mark.parametrize(
    "body",
    [
        {"source": "example", "units": ["packages/hello"]},
        {"source": "example", "all": True},
        {"source": "example", "ref": "main", "units": ["hello"], "request_id": "ci.1_2-3"},
    ],
)
def test_build_requested_accepts_a_minimal_request(body: dict[str, Any]) -> None:
    assert BuildRequested.model_validate(body).source == "example"


@pytest.mark.parametrize(
    "body",
    [
        {"units": ["packages/hello"]},
        {"source": "example"},
        {"source": "example", "units": ["hello"], "all": True},
        {"source": "example", "all": True, "request_id": "../etc"},
    ],
)
def test_build_requested_rejects_missing_or_conflicting_fields(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="1 validation error"):
        BuildRequested.model_validate(body)


def test_topic_family_has_only_its_members() -> None:
    member = QUEUE.member("x86_64.suse")
    assert (member.name, member.partitions, member.is_family) == ("cb.queue.x86_64.suse", 1, False)
    assert QUEUE.has(member.name) and QUEUE.is_family
    assert not QUEUE.has("cb.queue") and not QUEUE.has("cb.job")
    offered = route_of("job.offered")
    assert offered and offered.topic_of(offered.event.model_validate(sample("job.offered-1"))) == member.name
