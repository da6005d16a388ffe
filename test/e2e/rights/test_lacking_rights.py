"""A daemon that lacks a right ends with exit code 3; its message has the right, the user and the command to allow it.

A newcomer without any right is started, and the operator runs the commands that it prints, until it is at work. Its
rights are then a part of those that schemas/acls.sh gives to a daemon of its role.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from cloud_builder.adapters.kafka.broker import KafkaBroker
from cloud_builder.errors import ExitCode
from cloud_builder.model.role import Role
from cloud_builder.model.topics import INTAKE, RUNNERS, STATE, Topic
from e2e.rights.acl_cluster import NEWCOMER, USERS

MOST_STEPS = 12


@dataclass(frozen=True)
class Newcomer:
    """A daemon that is at work when it writes to `topic`."""

    role: Role
    topic: Topic
    words: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.role.value


NEWCOMERS = (
    Newcomer(Role.RUNNER, RUNNERS, ("--id", "newcomer"), {"CB_DISPATCH": "shared-queue"}),
    Newcomer(Role.SCHEDULER, STATE, ("--id", "newcomer"), {"CB_SCHEDULER__HA": "true"}),
    Newcomer(Role.REQUEST, INTAKE),
)


@pytest.mark.parametrize("newcomer", NEWCOMERS, ids=str)
def test_what_a_daemon_asks_for_is_what_it_lacks(newcomer, cluster, daemons):
    cluster.operator.forbid_all(NEWCOMER)
    written = end_of(newcomer.topic, cluster)
    asked: list[str] = []
    while (output := until_it_ends_or_writes(newcomer, written, cluster, daemons)) and len(asked) < MOST_STEPS:
        lack, command, _ = output.splitlines()[-3:]
        assert f"User:{NEWCOMER} may not" in lack, output
        cluster.operator.run_command(command.strip())
        asked.append(command)
    assert not output, asked
    assert cluster.operator.rights_of(NEWCOMER) <= cluster.operator.rights_of(USERS[newcomer.role])


def until_it_ends_or_writes(newcomer, written, cluster, daemons) -> str:
    """Returns the output of the daemon until it ended; empty when it writes."""
    daemon = daemons.start("newcomer", newcomer.role, *newcomer.words, user=NEWCOMER, **newcomer.settings)
    wrote = daemons.until(
        lambda: daemon.poll() is not None or (end_of(newcomer.topic, cluster) > written and "writes"),
        "it ends, or is at work",
    )
    daemons.kill("newcomer")
    assert wrote == "writes" or daemon.returncode == ExitCode.REJECTED, daemons.output_of("newcomer")[-3000:]
    return "" if wrote == "writes" else daemons.output_of("newcomer")


def end_of(topic, cluster) -> int:
    return sum(end for _, end in KafkaBroker(cluster.server.settings).watermarks([topic.name]).values())
