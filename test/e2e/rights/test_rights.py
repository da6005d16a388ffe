"""With the rights that schemas/acls.sh gives everything works; and nobody gets at what is not its own."""

from __future__ import annotations

import json
import re

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from cloud_builder.adapters.kafka.broker import KafkaBroker
from cloud_builder.adapters.kafka.connection import Connection
from cloud_builder.adapters.kafka.fenced import FencingBroker
from cloud_builder.adapters.kafka.share_group import check_share_groups
from cloud_builder.errors import NotAllowed
from cloud_builder.model.role import Role
from cloud_builder.model.topics import (
    DEAD_LETTER,
    QUEUE,
    READER_GROUP,
    SHARE_GROUP,
    TOPICS,
    TRANSACTIONAL_ID,
    topics_read_by,
)
from e2e.rights.acl_cluster import ARCH, USERS
from support.ctl_mesh import UNITS
from support.waiting import LIMIT

DAEMONS = (Role.REQUEST, Role.COLLECTOR, Role.INFO)
EVERY_TOPIC = (*TOPICS, QUEUE.member(ARCH))


@pytest.fixture(scope="module")
def mesh(daemons):
    """Two schedulers, of which `one` leads."""
    daemons.start("one", Role.SCHEDULER, "--id", "one", CB_SCHEDULER__HA="true")
    daemons.until(lambda: "leading" in daemons.output_of("one"), "the first leads")
    daemons.start("two", Role.SCHEDULER, "--id", "two", "--standby")
    for role in DAEMONS:
        daemons.start(role.value, role)
    for number in (1, 2):
        daemons.start(f"runner-{number}", Role.RUNNER, "--id", f"runner-{number}")
    daemons.until(lambda: "following" in daemons.output_of("two"), "the second follows")
    daemons.until(lambda: len(runners(daemons)) == 2, "both runners are seen")
    return daemons


def runners(daemons):
    result = daemons.ctl("list", "runners", "--json")
    found = json.loads(result.stdout) if result.returncode == 0 else []
    return found if isinstance(found, list) else found["items"]


def build_all(daemons, version: str):
    """Every unit, each of which has changed."""
    for unit in UNITS:
        changelog = f"projects/{unit}/debian/changelog"
        daemons.source.edit(changelog, lambda text: re.sub(r"([^)]*)\)", rf"\1+{version})", text, count=1))
    daemons.source.commit(f"version {version}")
    result = daemons.ctl("request", "--all", "--watch", "--timeout", "300", "--json")
    assert result.returncode == 0, f"{result}\n" + "\n".join(daemons.output_of(name) for name in ("one", "two"))
    assert {job["unit"]: job["outcome"] for job in json.loads(result.stdout)["jobs"]} == dict.fromkeys(UNITS, "success")


def test_directed_dispatch(mesh):
    build_all(mesh, "2")


def test_commands_of_the_client(mesh):
    for words in (["plan", "--all"], ["list", "runners"], ["dead-letter", "list"], ["status"]):
        result = mesh.ctl(*words)
        assert result.returncode == 0, (words, result)
    assert "does not exist" not in mesh.ctl("doctor").stdout


def test_a_standby_takes_over_from_a_killed_leader(mesh):
    mesh.kill("one")
    mesh.until(lambda: "leading" in mesh.output_of("two"), "the second leads")
    build_all(mesh, "3")


def test_shared_queues(mesh, cluster):
    shared = {"CB_DISPATCH": "shared-queue"}
    mesh.stop("two", "runner-1", "runner-2")
    mesh.start("two", Role.SCHEDULER, "--id", "two", CB_SCHEDULER__HA="true", **shared)
    for number in (1, 2):
        mesh.start(f"runner-{number}", Role.RUNNER, "--id", f"runner-{number}", **shared)
    mesh.until(lambda: [runner["state"] for runner in runners(mesh)].count("online") == 2, "both runners are back")
    build_all(mesh, "4")
    offers = KafkaBroker(cluster.server.settings).watermarks([QUEUE.member(ARCH).name]).values()
    assert any(end for _, end in offers), "nothing was offered"


@pytest.mark.parametrize("role", list(Role))
def test_each_role_writes_only_where_it_is_the_writer(role, cluster):
    refused: dict[str, KafkaError | None] = {}
    producer = Producer(options(cluster, role))
    foreign = [topic.name for topic in EVERY_TOPIC if topic.writer is not role and topic is not DEAD_LETTER]
    for topic in foreign:
        try:
            producer.produce(topic, b"x", on_delivery=lambda error, message: refused.update({message.topic(): error}))
        except KafkaException as error:
            refused[topic] = error.args[0]
    producer.flush(LIMIT)
    assert {name: error and error.code() for name, error in refused.items()} == dict.fromkeys(
        foreign, KafkaError.TOPIC_AUTHORIZATION_FAILED
    )


@pytest.mark.parametrize("role", list(Role))
def test_each_role_reads_only_what_is_for_it(role, cluster):
    mine = topics_read_by(role)
    foreign = {topic.name for topic in EVERY_TOPIC if not any(one.has(topic.name) for one in mine)}
    admin = AdminClient(options(cluster, role))
    seen = {name for name in foreign if admin.list_topics(name).topics[name].error is None}
    assert {topic.name for topic in EVERY_TOPIC if topic.name in seen and topic.writer is not role} <= {
        DEAD_LETTER.name
    }
    consumer = Consumer({**options(cluster, role), "group.id": READER_GROUP})
    consumer.assign([TopicPartition(name, 0, 0) for name in seen])
    refused = set()
    while refused != seen:
        message = consumer.poll(LIMIT)
        assert message is not None, f"{seen - refused}: neither read nor refused"
        error = message.error()
        assert error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED, (message.topic(), error)
        refused.add(message.topic())
    consumer.close()


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.SCHEDULER])
def test_only_the_scheduler_can_take_the_schedulers_name(role, cluster):
    with pytest.raises(NotAllowed, match=f"transactional id {TRANSACTIONAL_ID}: User:{USERS[role]} may not use it"):
        FencingBroker(cluster.settings_of(USERS[role])).acquire(TRANSACTIONAL_ID)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.RUNNER])
def test_only_runners_share_the_queues(role, cluster):
    with pytest.raises(NotAllowed, match=f"group {SHARE_GROUP}: User:{USERS[role]} may not use it"):
        check_share_groups(cluster.settings_of(USERS[role]))


def options(cluster, role):
    return {**Connection(cluster.settings_of(USERS[role])).options(), "log_level": 0}
