"""The ceiling: the very messages of a run of the mesh, in loops that do nothing else.

A driver sends assignments to runner processes, a window of slots each, and reads what they report. Beside each
assignment it sends what the scheduler emitted about a job on other topics. Every message was recorded and is sent byte
for byte, so that it costs the broker as much as then. No state, no decisions, nothing encoded or decoded. Run as
`python -m bench.bare_loop BOOTSTRAP NUMBER FILE` it is one runner, which answers with the recorded reports of FILE."""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.mesh import kafka
from bench.processes import Program, directory, python
from cloud_builder.ports.broker import Record

ASSIGNMENTS, REPORTS = "bare.assignments", "bare.reports"
READY, STARTED, REPORT = b"ready", b"started", b"report"
_TYPE = ("ce_type",)


class Sent(NamedTuple):
    """A message in the form that the client library accepts."""

    topic: str
    value: bytes | None
    key: bytes | None
    headers: list[tuple[str, bytes]]

    @classmethod
    def again(cls, record: Record) -> Sent:
        return cls(record.partition.topic, record.value, record.key, list(record.headers))


class Recorded(NamedTuple):
    """The messages of a run of the mesh: assignments, starts and reports, one of each a job; `beside`: the messages of
    each job on other topics."""

    assignments: Sequence[Sent]
    starts: Sequence[Sent]
    reports: Sequence[Sent]
    beside: Sequence[Sequence[Sent]]

    @classmethod
    def of(cls, assignments: Iterable[Record], attempts: Iterable[Record], beside: Sequence[Record]) -> Recorded:
        """Divides the messages among the jobs. Which message is of which job does not matter: the loop reads none."""
        sent = [Sent.again(one) for one in assignments]
        reports = [Sent.again(one) for one in attempts]
        starts = [one for one in reports if (*_TYPE, b"attempt.started") in one.headers]
        reports = [one for one in reports if (*_TYPE, b"attempt.finished") in one.headers]
        jobs = len(sent)
        shared = [Sent.again(one) for one in beside]
        shares = [shared[number * len(shared) // jobs : (number + 1) * len(shared) // jobs] for number in range(jobs)]
        return cls(sent, starts, reports, shares)


class Load(NamedTuple):
    runners: int
    slots: int
    samples: int
    runs: int
    recorded: Recorded


def measure(load: Load) -> tuple[list[float], list[float]]:
    """Returns the jobs per second of each run, and the seconds of single round trips."""
    runners, slots, samples, runs, recorded = load
    jobs = len(recorded.assignments)
    with kafka() as broker, directory("bare") as home:
        _make_topics(broker.bootstrap, runners, {one.topic for shared in recorded.beside for one in shared})
        answers = home / "reports"
        answers.write_bytes(pickle.dumps((recorded.starts, recorded.reports)))
        script = ["-m", "bench.bare_loop", broker.bootstrap]
        programs = [Program(f"bare-{n}", python(*script, str(n), str(answers)), home) for n in range(runners)]
        try:
            driver = Driver(broker.bootstrap, runners, recorded)
            driver.wait_for_runners()
            driver.run(jobs, slots)
            latencies = [driver.once() for _ in range(samples)]
            return [jobs / driver.run(jobs, slots) for _ in range(runs)], latencies
        finally:
            for program in programs:
                program.end()


class Driver:
    """Takes the part of the scheduler: sends assignments, and counts reports."""

    def __init__(self, bootstrap: str, runners: int, recorded: Recorded) -> None:
        self._runners = runners
        self._messages = cycle(zip(recorded.assignments, recorded.beside, strict=True))
        self._producer = _producer(bootstrap)
        self._consumer = _consumer(bootstrap, REPORTS, 0)

    def wait_for_runners(self) -> None:
        missing = self._runners
        while missing:
            missing -= sum(message.key() == READY for message in _poll(self._consumer, 1.0))

    def run(self, jobs: int, slots: int) -> float:
        """Returns the seconds for so many jobs."""
        started = time.monotonic()
        sent, done, window = 0, 0, self._runners * slots
        while done < jobs:
            while sent < jobs and sent - done < window:
                self._send(sent % self._runners)
                sent += 1
            self._producer.poll(0)
            done += sum(message.key() == REPORT for message in _poll(self._consumer, 1.0))
        self._producer.flush()
        return time.monotonic() - started

    def once(self) -> float:
        started = time.monotonic()
        self._send(0)
        self._producer.flush()
        started_at, keys = 0.0, [b""]
        while REPORT not in keys:
            keys = [message.key() for message in _poll(self._consumer, 1.0)]
            started_at = started_at or (time.monotonic() if STARTED in keys else 0.0)
        return started_at - started

    def _send(self, runner: int) -> None:
        sent, beside = next(self._messages)
        self._producer.produce(ASSIGNMENTS, sent.value, sent.key, partition=runner, headers=sent.headers)
        for one in beside:
            self._send_beside(one)

    def _send_beside(self, one: Sent) -> None:
        while True:
            try:
                self._producer.produce(one.topic, one.value, one.key, headers=one.headers)
                return
            except BufferError:  # more than the broker takes
                self._producer.poll(0.01)


def runner(bootstrap: str, number: int, answers: Path) -> None:
    starts, reports = pickle.loads(answers.read_bytes())
    keys = cycle(zip(starts, reports, strict=True))
    producer, consumer = _producer(bootstrap), _consumer(bootstrap, ASSIGNMENTS, number)
    _poll(consumer, 1.0)
    producer.produce(REPORTS, READY, READY)
    producer.flush()
    while True:
        messages = _poll(consumer, 1.0)
        for _, (start, report) in zip(messages, keys, strict=False):
            producer.produce(REPORTS, start.value, STARTED, headers=start.headers)
            producer.produce(REPORTS, report.value, REPORT, headers=report.headers)
        if messages:
            producer.flush()


def _poll(consumer: Consumer, timeout: float) -> list:
    first = consumer.poll(timeout)
    return [] if first is None else [first, *consumer.consume(499, 0)]


def _producer(bootstrap: str) -> Producer:
    return Producer(
        {"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 0}
        | {"compression.type": "lz4", "socket.nagle.disable": True, "log_level": 0}
    )


def _consumer(bootstrap: str, topic: str, partition: int) -> Consumer:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "bare", "enable.auto.commit": False, "log_level": 0}
    )
    consumer.assign([TopicPartition(topic, partition, 0)])
    return consumer


def _make_topics(bootstrap: str, runners: int, others: set[str]) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topics = [NewTopic(ASSIGNMENTS, runners, 1), NewTopic(REPORTS, 1, 1), *(NewTopic(name, 1, 1) for name in others)]
    for future in admin.create_topics(topics).values():
        future.result()


if __name__ == "__main__":
    runner(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
