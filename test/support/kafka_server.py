"""A real Apache Kafka for tests: the first of these that is available.

    CB_TEST_KAFKA=HOST:PORT   a server that runs already (tests cannot stop and start it)
    a docker engine           the image apache/kafka, by testcontainers
    Java 17 and Maven         the jars of pom.xml, fetched once into the user's cache, as a KRaft node on free ports

Without any of them, the tests that need Kafka fail with advice what to install.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from cloud_builder.model.settings import BrokerSettings

VERSION = "4.4.0"
IMAGE = f"apache/kafka:{VERSION}"
POM = Path(__file__).with_name("pom.xml")
FETCH_LOG = Path(__file__).parents[2] / "build" / "kafka-fetch.log"
START_TIMEOUT = 180.0
ADVICE = (
    "Tests need a real Kafka: install Java 17 and Maven (apt-get install openjdk-17-jre-headless maven), "
    "or start a docker engine, or set CB_TEST_KAFKA=HOST:PORT."
)


class KafkaMissing(Exception):
    """Kafka is not available on this machine, or not in the way that a test needs."""


def find_server():
    """Returns the server to use, not started yet."""
    if address := os.environ.get("CB_TEST_KAFKA"):
        return GivenServer(address)
    if docker_answers():
        return DockerServer()
    if shutil.which("java") and shutil.which("mvn"):
        return JavaServer(fetched_jars())
    raise KafkaMissing(ADVICE)


_RETURNED_PORTS: set[int] = set()


class GivenServer:
    """A server that runs already, at the address in CB_TEST_KAFKA."""

    def __init__(self, address: str) -> None:
        self.settings = BrokerSettings(bootstrap=address)

    def start(self) -> None:
        wait_until_it_answers(self.settings.bootstrap)

    def stop(self) -> None:
        raise KafkaMissing(f"the Kafka at {self.settings.bootstrap} (CB_TEST_KAFKA) cannot be stopped by a test")

    def close(self) -> None: ...


class JavaServer:
    """A KRaft node, broker and controller in one. It keeps port and data when it is stopped and started again."""

    def __init__(
        self, jars: Path, links: Mapping[str, tuple[int, int]] | None = None, users: Sequence[str] = ()
    ) -> None:
        """Formats the storage of a new node.

        links   further listeners: name → its port, and the port that is advertised to clients (that of a proxy)
        users   accounts that may log in, with their name as password. ACLs then apply to all of them; a connection
                without a login, such as that of the tests, may do everything.
        """
        self._jars = jars
        self._directory = Path(tempfile.mkdtemp(prefix="cb-test-kafka-"))
        self._process: subprocess.Popen[bytes] | None = None
        port, controller, self._login_port = free_ports(3)
        self.settings = BrokerSettings(bootstrap=f"127.0.0.1:{port}")
        self._configuration = self._directory / "server.properties"
        settings = node_properties(port, controller, self._directory / "data", links or {})
        self._configuration.write_text(with_logins(settings, self._login_port) if users else settings)
        # With "=", because an id may begin with a dash.
        identity = f"--cluster-id={cluster_id()}"
        accounts = [f"--add-scram=SCRAM-SHA-256=[name={user},password={user}]" for user in users]
        self._java("kafka.tools.StorageTool", "format", identity, "-c", str(self._configuration), *accounts).wait(
            START_TIMEOUT
        )

    def settings_of(self, user: str) -> BrokerSettings:
        """Returns the settings with which a user connects to this server."""
        login = {"sasl.mechanism": "SCRAM-SHA-256", "sasl.username": user, "sasl.password": user}
        options = {"security.protocol": "SASL_PLAINTEXT", **login}
        return BrokerSettings(bootstrap=f"127.0.0.1:{self._login_port}", options=options)

    def start(self) -> None:
        self._process = self._java("kafka.Kafka", str(self._configuration))
        wait_until_it_answers(self.settings.bootstrap, self._process, self._directory / "output")

    def stop(self) -> None:
        """Kills the server, as a loss of power does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: int) -> None:
        """Sends a signal to the server: SIGSTOP or SIGCONT."""
        if self._process is not None:
            self._process.send_signal(number)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _java(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{self._jars}/*", *arguments]
        if setpriv := shutil.which("setpriv"):
            command = [setpriv, "--pdeathsig", "KILL", *command]
        with (self._directory / "output").open("ab") as output:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


class DockerServer:
    """A container of the official image, on a fixed port, so that it can be stopped and started again."""

    def __init__(self) -> None:
        from testcontainers.core.container import DockerContainer

        port, controller = free_ports(2)
        self.settings = BrokerSettings(bootstrap=f"127.0.0.1:{port}")
        self._started = False
        self._container = DockerContainer(IMAGE).with_kwargs(network_mode="host")
        for line in node_properties(port, controller, Path("/tmp/kafka-data")).splitlines():
            name, value = line.split("=", 1)
            self._container.with_env("KAFKA_" + name.replace(".", "_").upper(), value)

    def start(self) -> None:
        if self._started:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._started = True
        wait_until_it_answers(self.settings.bootstrap)

    def stop(self) -> None:
        self._container.get_wrapped_container().kill()

    def close(self) -> None:
        self._container.stop()


def docker_answers() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


def jars_directory() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cloud-builder" / f"kafka-{VERSION}"


def fetched_jars() -> Path:
    """Returns Kafka's jars in the user's cache. A download is renamed into place when it is complete."""
    jars = jars_directory()
    if jars.is_dir():
        return jars
    jars.parent.mkdir(parents=True, exist_ok=True)
    FETCH_LOG.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix="kafka-", dir=jars.parent))
    maven = ["mvn", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
    with FETCH_LOG.open("w") as log:
        done = subprocess.run([*maven, f"-DoutputDirectory={fresh}"], stdout=log, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        shutil.rmtree(fresh)
        end = "\n".join(f"    {line}" for line in FETCH_LOG.read_text(errors="replace").splitlines()[-12:])
        raise KafkaMissing(f"Maven could not fetch Kafka {VERSION}. The last lines of {FETCH_LOG}:\n{end}\n{ADVICE}")
    try:
        fresh.rename(jars)
    except OSError:  # another test run was faster
        shutil.rmtree(fresh)
    return jars


def node_properties(
    port: int, controller: int, data: Path, links: Mapping[str, tuple[int, int]] = MappingProxyType({})
) -> str:
    listeners = "".join(f",{name}://127.0.0.1:{own}" for name, (own, _) in links.items())
    advertised = "".join(f",{name}://127.0.0.1:{proxy}" for name, (_, proxy) in links.items())
    plain = "".join(f",{name}:PLAINTEXT" for name in links)
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listeners}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}{advertised}",
        "listener.security.protocol.map": f"PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{plain}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(data),
        "offsets.topic.num.partitions": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",
        "group.share.heartbeat.interval.ms": "500",
        "group.share.min.heartbeat.interval.ms": "500",
        "group.share.assignment.interval.ms": "0",
        "auto.create.topics.enable": "false",
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "500",
        "log.retention.check.interval.ms": "1000",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def with_logins(settings: str, port: int) -> str:
    """Adds a listener that requires name and password, and turns on ACLs."""
    found = dict(line.split("=", 1) for line in settings.splitlines())
    found["listeners"] += f",LOGIN://127.0.0.1:{port}"
    found["advertised.listeners"] += f",LOGIN://127.0.0.1:{port}"
    found["listener.security.protocol.map"] += ",LOGIN:SASL_PLAINTEXT"
    found |= {
        "sasl.enabled.mechanisms": "SCRAM-SHA-256",
        "listener.name.login.scram-sha-256.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    return "".join(f"{name}={value}\n" for name, value in found.items())


def cluster_id() -> str:
    from base64 import urlsafe_b64encode

    return urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")


def free_ports(number: int) -> list[int]:
    """Returns free ports. None is returned twice in one process, because a returned port may not be in use yet."""
    ports: list[int] = []
    while len(ports) < number:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _RETURNED_PORTS:
            _RETURNED_PORTS.add(port)
            ports.append(port)
    return ports


def wait_until_it_answers(
    address: str, process: subprocess.Popen[bytes] | None = None, output: Path | None = None
) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=1.0)
            return
        except KafkaException as error:
            ended = process is not None and process.poll() is not None
            if ended or time.monotonic() > deadline:
                log = output.read_text(errors="replace")[-2000:] if output else ""
                raise KafkaMissing(f"Kafka at {address} does not answer: {error}\n{log}") from None
