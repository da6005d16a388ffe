"""An operator of a test's Kafka, who runs the scripts and commands that the project documents for operators.

The scripts call Kafka's own tools, which start a Java machine for each call. Here stand-ins record the arguments, and
the calls are then carried out over one connection.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from support.waiting import LIMIT, until

TOOLS = ("kafka-topics.sh", "kafka-configs.sh", "kafka-acls.sh")
END = "end of call"
STAND_IN = f"""#!/bin/sh
printf '%s\\n' "$(basename "$0")" "$@" '{END}' >>"$NOTES"
"""
KINDS = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional_id": ResourceType.TRANSACTIONAL_ID,
}


class Right(NamedTuple):
    """A right of a user: `operation` on the resources with this name, or with this prefix."""

    kind: ResourceType
    name: str
    pattern: ResourcePatternType
    operation: AclOperation


class Operator:
    """An operator of the cluster at `bootstrap`, with all rights."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def run_script(self, script: Path, **variables: str) -> None:
        """Runs a script of schemas/."""
        with tempfile.TemporaryDirectory() as directory:
            for name in TOOLS:
                tool = Path(directory) / name
                tool.write_text(STAND_IN)
                tool.chmod(0o755)
            notes = Path(directory) / "notes"
            environment = {"PATH": os.environ["PATH"], "KAFKA_BIN": directory, "NOTES": str(notes), "REPLICATION": "1"}
            environment |= {"BOOTSTRAP": self._bootstrap, **variables}
            subprocess.run([str(script)], env=environment, check=True)
            calls = notes.read_text().split(f"{END}\n")[:-1]
        self._carry_out([call.splitlines() for call in calls])

    def run_command(self, line: str) -> None:
        """Runs a command that a message of the product names."""
        self._carry_out([shlex.split(line)])

    def rights_of(self, user: str) -> set[Right]:
        """Returns the rights of a user."""
        return {
            Right(acl.restype, acl.name, acl.resource_pattern_type, acl.operation) for acl in self._bindings_of(user)
        }

    def forbid_all(self, user: str) -> None:
        """Deletes the rights of a user, and waits until they are gone."""
        for future in self._admin.delete_acls([_all_of(user)]).values():
            future.result()
        until(lambda: not self._bindings_of(user), f"{user} having no rights")

    def _bindings_of(self, user: str) -> list[AclBinding]:
        return list(self._admin.describe_acls(_all_of(user)).result())

    def allow(self, bindings: Sequence[AclBinding]) -> None:
        """Adds rights, and waits until they are in force."""
        for future in self._admin.create_acls(list(bindings)).values():
            future.result()
        users = {binding.principal.removeprefix("User:") for binding in bindings}
        until(
            lambda: set(bindings) <= {binding for user in users for binding in self._bindings_of(user)},
            f"the new rights of {users}",
        )

    def _carry_out(self, calls: Iterable[Sequence[str]]) -> None:
        bindings: list[AclBinding] = []
        for tool, *words in calls:
            if tool == "kafka-acls.sh":
                bindings += _bindings(words)
            elif tool == "kafka-topics.sh":
                self._create(words)
            else:
                self._configure(words)
        if bindings:
            self.allow(list(dict.fromkeys(bindings)))

    def _create(self, words: Sequence[str]) -> None:
        arguments = _parsed(words, flags=("create", "if-not-exists"), many=("config",))
        config = {name: value.strip("[]") for name, value in (entry.split("=", 1) for entry in arguments.config)}
        topic = NewTopic(arguments.topic, int(arguments.partitions), int(arguments.replication_factor), config=config)
        try:
            self._admin.create_topics([topic], operation_timeout=LIMIT)[arguments.topic].result()
        except KafkaException as error:
            assert "already exists" in error.args[0].str(), error

    def _configure(self, words: Sequence[str]) -> None:
        arguments = _parsed(words, flags=("alter",))
        assert arguments.entity_type == "groups", arguments
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in (entry.split("=", 1) for entry in arguments.add_config.split(","))
        ]
        group = ConfigResource(ResourceType.GROUP, arguments.entity_name, incremental_configs=entries)
        self._admin.incremental_alter_configs([group])[group].result()


def _all_of(user: str) -> AclBindingFilter:
    kind, pattern, anything = ResourceType.ANY, ResourcePatternType.ANY, AclOperation.ANY
    return AclBindingFilter(kind, None, pattern, f"User:{user}", None, anything, AclPermissionType.ANY)


def _bindings(words: Sequence[str]) -> list[AclBinding]:
    arguments = _parsed(words, flags=("add",), many=("operation", *(kind.replace("_", "-") for kind in KINDS)))
    assert arguments.add, words
    pattern = ResourcePatternType[(arguments.resource_pattern_type or "literal").upper()]
    return [
        AclBinding(kind, name, pattern, arguments.allow_principal, "*", _operation(operation), AclPermissionType.ALLOW)
        for attribute, kind in KINDS.items()
        for name in getattr(arguments, attribute)
        for operation in arguments.operation
    ]


def _operation(name: str) -> AclOperation:
    return next(operation for operation in AclOperation if operation.name.replace("_", "").lower() == name.lower())


def _parsed(words: Sequence[str], flags: Sequence[str], many: Sequence[str] = ()) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    options = {word.removeprefix("--") for word in words if word.startswith("--")}
    for name in sorted({*options, *many, "resource-pattern-type"}):
        if name in flags:
            parser.add_argument(f"--{name}", action="store_true")
        elif name in many:
            parser.add_argument(f"--{name}", action="append", default=[])
        else:
            parser.add_argument(f"--{name}")
    return parser.parse_args(list(words))
