"""restart.takeover and restart.rebuild: the cost of a lost machine.

takeover: seconds from the kill -9 of the leading scheduler to the first word of the standby as leader, with the
settings a user gets. rebuild: until a scheduler without a state is ready, by a changelog of finished jobs on Kafka."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figures import Figure, figure
from bench.processes import Program, python
from cloud_builder.adapters.kafka.broker import KafkaBroker
from cloud_builder.mesh.codec import encode
from cloud_builder.mesh.leadership import latest_epoch
from cloud_builder.model.events import StateChanged
from cloud_builder.model.settings import BrokerSettings
from cloud_builder.model.topics import TOPICS
from cloud_builder.ports.state import Put
from support.waiting import LIMIT, until

WITHIN = LIMIT
_PACKET = 2000


def measure(home: Path, broker: BrokerSettings) -> Iterator[Figure]:
    kafka = KafkaBroker(broker)
    kafka.ensure_topics(TOPICS)
    first = scheduler("first", home, broker)
    wait_for_leader(kafka, first, epoch=1)
    second = scheduler("second", home, broker, "--standby")
    try:
        until(lambda: follows(second), lambda: f"a standby that follows:\n{second.output()}\n")
        began = time.monotonic()
        os.kill(first.pid, signal.SIGKILL)
        wait_for_leader(kafka, second, epoch=2)
        seconds = time.monotonic() - began
    finally:
        first.end()
        second.end()
    yield figure("restart.takeover", [seconds], "s")


def scheduler(name: str, home: Path, broker: BrokerSettings, *flags: str) -> Program:
    (home / name).mkdir(exist_ok=True)
    command = python("-m", "bench.daemon", "scheduler", "--home", str(home / name), *flags)
    own = ["--id", name, "--broker", broker.bootstrap]
    return Program(name, [*command, *own], home, CB_SCHEDULER__HA="true")


def wait_for_leader(kafka: KafkaBroker, program: Program, epoch: int) -> None:
    """Waits for a leader of that epoch. Checks every 50 ms, because this wait is measured."""
    deadline = time.monotonic() + WITHIN
    while (latest := latest_epoch(kafka)) is None or latest.epoch < epoch:
        program.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"nobody leads in epoch {epoch}:\n{program.output()}")
        time.sleep(0.05)


def follows(program: Program) -> bool:
    program.check()
    return "following" in program.output()


def write_changelog(broker: BrokerSettings, documents: Iterator[Put]) -> None:
    """Writes the documents to cb.state as a scheduler does."""
    kafka = KafkaBroker(broker)
    kafka.ensure_topics(TOPICS)
    producer = kafka.producer()
    packet = []
    for number, put in enumerate(documents):
        change = StateChanged.of(f"{put.collection}/{put.key}", put.body, put.parent, put.rank)
        packet.append(encode(change, source="bench", id=f"{number:032x}", time=time.time()))
        if len(packet) == _PACKET:
            producer.send(packet, WITHIN)
            packet = []
    producer.send(packet, WITHIN)
    producer.close()
