"""The mesh under load: real daemons, durable state, a real Kafka; this process stands in for cb-request."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from bench.processes import Program, Skipped, directory, python
from cloud_builder.adapters.kafka.broker import KafkaBroker
from cloud_builder.mesh.codec import Undecodable, decode, encode
from cloud_builder.model import events as e
from cloud_builder.model.settings import BrokerSettings
from cloud_builder.model.topics import TOPICS
from cloud_builder.model.unit import Target, Unit
from cloud_builder.ports.broker import Partition, Record
from support.factories import unit
from support.kafka_server import KafkaMissing, find_server

TARGET = Target(name=f"bookworm.{platform.machine()}", dist="bookworm", arch=platform.machine())
SOURCE = "bench"


@contextmanager
def kafka() -> Iterator[BrokerSettings]:
    """Yields a new, empty Kafka."""
    try:
        server = find_server()
        server.start()
    except KafkaMissing as missing:
        raise Skipped(str(missing)) from None
    try:
        yield server.settings
    finally:
        server.close()


class BenchMesh:
    """The daemons of a mesh with its own home. `settings`: their CB_* variables."""

    def __init__(self, home: Path, broker: BrokerSettings, **settings: str) -> None:
        self.home, self.broker, self._settings = home, broker, settings
        self.programs: dict[str, Program] = {}
        self._kafka = KafkaBroker(broker)
        self._kafka.ensure_topics(TOPICS)
        self._producer = self._kafka.producer()
        self._sent = 0

    def start(self, name: str, *flags: str, **settings: str) -> Program:
        """`name`: scheduler, info, …, or runner-N."""
        role = name.partition("-")[0]
        own = ["--home", str(self.home), "--broker", self.broker.bootstrap, *flags]
        command = python("-m", "bench.daemon", role, *own)
        self.programs[name] = Program(name, command, self.home, **self._settings, **settings)
        return self.programs[name]

    def start_runners(self, number: int, slots: int) -> None:
        watch = self.watch("cb.runner")
        for one in range(1, number + 1):
            self.start(f"runner-{one}", "--id", f"runner-{one}", "--slots", str(slots))
        missing = {f"runner-{one}" for one in range(1, number + 1)}
        while missing:
            missing -= {event.runner_id for event in watch.next(30.0) if isinstance(event, e.RunnerSeen)}
        watch.close()

    def announce(self, units: int) -> list[str]:
        """Announces a source snapshot with so many new units; returns their paths."""
        run = uuid4().hex[:8]
        self.revision = uuid4().hex + uuid4().hex[:8]
        made = tuple(_unit(f"u{run}-{number}") for number in range(units))
        parts = [made[at : at + 1000] for at in range(0, units, 1000)]
        for number, part in enumerate(parts):
            self.send(
                e.SourceRevised(
                    source=SOURCE,
                    url="file:///nowhere",
                    branch="main",
                    revision=self.revision,
                    followed=False,
                    units=part,
                    part=number,
                    parts=len(parts),
                )
            )
        return [each.path for each in made]

    def accept(self, *units: str) -> str:
        """Sends an accepted request for these units; returns its id."""
        name = f"r-{uuid4().hex[:10]}"
        self.send(
            e.RequestAccepted(
                request_id=name,
                source=SOURCE,
                ref="main",
                revision=self.revision,
                units=units,
                publish=False,
                accepted_at=time.time(),
            )
        )
        return name

    def send(self, *payloads: e.Payload) -> None:
        records = [encode(payload, source="bench", id=str(uuid4()), time=time.time()) for payload in payloads]
        self._producer.send(records, 10.0)

    def ends(self, topics: Sequence[str]) -> dict[Partition, int]:
        return {partition: end for partition, (_, end) in self._kafka.watermarks(topics).items()}

    def records_on(self, topic: str, since: Mapping[Partition, int]) -> list[Record]:
        """Returns all records of a topic from `since` on."""
        start = {partition: at for partition, at in since.items() if partition.topic == topic}
        missing = sum(self.ends([topic]).values()) - sum(start.values())
        consumer = self._kafka.consumer(start)
        found: list[Record] = []
        try:
            while len(found) < missing:
                found += consumer.poll(1000, 5.0)
        finally:
            consumer.close()
        return found

    def watch(self, topic: str) -> TopicWatch:
        return TopicWatch(self, self._kafka, topic)

    def check(self) -> None:
        for program in self.programs.values():
            program.check()

    def close(self) -> None:
        self._producer.close()
        for program in self.programs.values():
            program.end()


class TopicWatch:
    """Reads a topic from its present end on."""

    def __init__(self, mesh: BenchMesh, broker: KafkaBroker, topic: str) -> None:
        self._mesh, self._consumer = mesh, broker.consumer(mesh.ends([topic]))
        self._consumer.poll(1, 0.2)

    def next(self, timeout: float) -> list[e.Payload]:
        """Returns at least one event. Raises RuntimeError when none arrives in time, or a daemon has ended."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            if records := self._consumer.poll(500, 0.5):
                try:
                    return [decode(record, "").payload for record in records]
                except Undecodable:
                    continue
            self._mesh.check()
        raise RuntimeError(f"nothing came within {timeout:g} s")

    def until_finished(self, request_id: str, timeout: float) -> e.RequestFinished:
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            for event in self.next(timeout):
                if isinstance(event, e.RequestFinished) and event.request_id == request_id:
                    return event
        raise RuntimeError(f"{request_id} did not end within {timeout:g} s")

    def close(self) -> None:
        self._consumer.close()


@contextmanager
def running(runners: int, slots: int, **settings: str) -> Iterator[BenchMesh]:
    """Yields a mesh of a scheduler and runners that build nothing, on a new Kafka."""
    with ExitStack() as stack:
        broker = stack.enter_context(kafka())
        mesh = BenchMesh(stack.enter_context(directory("mesh")), broker, **settings)
        stack.callback(mesh.close)
        mesh.start("scheduler")
        mesh.start_runners(runners, slots)
        yield mesh


def _unit(name: str) -> Unit:
    inputs = {"tree": uuid4().hex + "0" * 8, "buildroot": "0" * 64, "repositories": "1" * 64}
    return unit(name, "debhelper-compat (= 13)", path=f"packages/{name}", targets=(TARGET,), **inputs)
