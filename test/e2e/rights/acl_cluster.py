"""A Kafka with rights, set up by an operator with only the scripts of schemas/; a mesh on it whose
daemons log in as themselves."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

from cloud_builder.model.role import Role
from support.ctl_mesh import Account, ExampleSource
from support.kafka_server import JavaServer, fetched_jars, free_ports
from support.operator_tools import Operator
from support.waiting import LIMIT, until

SCHEMAS = Path(__file__).parents[3] / "schemas"
ARCH = platform.machine()
USERS = {role: f"cb-{role.value.removeprefix('cb-')}" for role in Role}
"""The users, as schemas/acls.sh names them."""
NEWCOMER = "newcomer"
"""A user with only the rights that a test allows."""


class Cluster:
    """The broker, and its operator."""

    def __init__(self) -> None:
        self.server = JavaServer(fetched_jars(), users=(*USERS.values(), NEWCOMER))
        self.server.start()
        self.operator = Operator(self.server.settings.bootstrap)
        self.operator.run_script(SCHEMAS / "topics.sh", QUEUES=ARCH)
        self.operator.run_script(SCHEMAS / "acls.sh")

    def settings_of(self, user: str):
        return self.server.settings_of(user)


class Daemons:
    """One mesh: `cb-<role>` as real programs, each as a user of its own; runners simulate builds."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self._cluster, self.home = cluster, directory
        self.source = ExampleSource(directory / "source", Account())
        [self._port] = free_ports(1)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def environment(self, user: str, **variables: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CB_")}
        settings = {
            "CB_HOME": str(self.home),
            "CB_CACHE": str(self.home / "cache"),
            "CB_BROKER": self._cluster.settings_of(user).model_dump_json(),
            "CB_SOURCES": json.dumps({"example": {"url": str(self.source.path), "branch": "main"}}),
            "CB_REQUEST__POLL_INTERVAL": "1",
            "CB_REQUEST__BUILD_ON_PUSH": "false",
            "CB_RUNNER__SIMULATE": "0.3",
            "CB_COLLECTOR__PORT": str(self._port),
        }
        return {**kept, **settings, **variables}

    def start(self, name: str, role: Role, *words: str, user: str = "", **variables: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "cloud_builder.wiring", role.value.removeprefix("cb-"), *words]
        command += ["--parent", str(os.getpid())]
        environment = self.environment(user or USERS[role], **variables)
        with (self.home / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        return self._processes[name]

    def ctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("cb-ctl")), *words]
        environment = self.environment(USERS[Role.CLIENT])
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3 * LIMIT, check=False)

    def kill(self, name: str) -> None:
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def stop(self, *names: str) -> None:
        for name in names:
            self._processes[name].terminate()
        for name in names:
            assert self._processes.pop(name).wait(LIMIT) == 0, self.output_of(name)

    def output_of(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text()

    def until(self, condition, what: str):
        return until(condition, lambda: f"{what}\n{self._logs()}\n")

    def _logs(self) -> str:
        return "\n".join(f"--- {name}\n{self.output_of(name)[-3000:]}" for name in self._processes)

    def close(self) -> None:
        for name in tuple(self._processes):
            self.kill(name)
