"""The ceiling: the messages of each job as the mesh sends them, in loops that do nothing else.

A driver sends orders to runner processes, a window of slots each, and reads what they say; beside each order it sends
what the scheduler tells of a job on other topics. No state, no decisions. Run as `bare_loop.py BOOTSTRAP NUMBER` it is
one runner."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from mesh import TARGET, kafka
from processes import Program, directory, python

from cloud_builder.mesh.codec import encode
from cloud_builder.model import events as e
from cloud_builder.model.outcome import Kind, Outcome
from cloud_builder.ports.broker import Outgoing

ORDERS, REPORTS = "bare.orders", "bare.reports"
READY, STARTED, REPORT = b"ready", b"started", b"report"


class Load(NamedTuple):
    """`beside`: what is told of a job besides its order, start and report."""

    runners: int
    slots: int
    jobs: int
    samples: int
    runs: int
    beside: Sequence[Outgoing]


def measure(load: Load) -> tuple[list[float], list[float]]:
    """Jobs per second of each run, and seconds of single round trips."""
    runners, slots, jobs, samples, runs, beside = load
    with kafka() as broker, directory("bare") as home:
        _make_topics(broker.bootstrap, runners, {one.topic for one in beside})
        script = str(Path(__file__))
        programs = [Program(f"bare-{n}", python(script, broker.bootstrap, str(n)), home) for n in range(runners)]
        try:
            driver = Driver(broker.bootstrap, runners, beside)
            driver.wait_for_runners()
            driver.run(jobs, slots)
            latencies = [driver.once() for _ in range(samples)]
            return [jobs / driver.run(jobs, slots) for _ in range(runs)], latencies
        finally:
            for program in programs:
                program.end()


class Driver:
    """Stands where the scheduler stands."""

    def __init__(self, bootstrap: str, runners: int, beside: Sequence[Outgoing]) -> None:
        self._runners = runners
        self._beside = [(one.topic, one.value, one.key, list(one.headers)) for one in beside]
        self._producer = _producer(bootstrap)
        self._consumer = _consumer(bootstrap, REPORTS, 0)
        record = _record(_order())
        self._value, self._headers = record.value, list(record.headers)

    def wait_for_runners(self) -> None:
        missing = self._runners
        while missing:
            missing -= sum(message.key() == READY for message in _poll(self._consumer, 1.0))

    def run(self, jobs: int, slots: int) -> float:
        """Seconds for so many jobs."""
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
        started_at, said = 0.0, [b""]
        while REPORT not in said:
            said = [message.key() for message in _poll(self._consumer, 1.0)]
            started_at = started_at or (time.monotonic() if STARTED in said else 0.0)
        return started_at - started

    def _send(self, runner: int) -> None:
        self._producer.produce(ORDERS, self._value, b"runner", partition=runner, headers=self._headers)
        for topic, value, key, headers in self._beside:
            self._tell(topic, value, key, headers)

    def _tell(self, *what) -> None:
        topic, value, key, headers = what
        while True:
            try:
                self._producer.produce(topic, value, key, headers=headers)
                return
            except BufferError:  # more than the broker takes
                self._producer.poll(0.01)


def runner(bootstrap: str, number: int) -> None:
    producer, consumer = _producer(bootstrap), _consumer(bootstrap, ORDERS, number)
    start, report = (_record(payload) for payload in (_start(), _report()))
    _poll(consumer, 1.0)
    producer.produce(REPORTS, READY, READY)
    producer.flush()
    while True:
        messages = _poll(consumer, 1.0)
        for _ in messages:
            producer.produce(REPORTS, start.value, STARTED, headers=list(start.headers))
            producer.produce(REPORTS, report.value, REPORT, headers=list(report.headers))
        if messages:
            producer.flush()


def _record(payload: e.Payload) -> Outgoing:
    return encode(payload, source="bare", id=str(uuid4()), time=time.time(), traceparent="0" * 55)


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
    topics = [NewTopic(ORDERS, runners, 1), NewTopic(REPORTS, 1, 1), *(NewTopic(name, 1, 1) for name in others)]
    for future in admin.create_topics(topics).values():
        future.result()


def _order() -> e.JobAssigned:
    return e.JobAssigned(
        job_id="r-0123456789.1234",
        attempt=1,
        runner_id="runner-1",
        request_id="r-0123456789",
        source="bench",
        url="file:///nowhere",
        revision="0" * 40,
        unit="packages/u01234567-1234",
        directory="projects/packages/u01234567-1234",
        name="u01234567-1234",
        kind=Kind.PACKAGE,
        tree="0" * 40,
        target=TARGET,
        input_key="0" * 64,
        buildroot="0" * 64,
        repositories="1" * 64,
    )


def _start() -> e.AttemptStarted:
    return e.AttemptStarted(job_id="r-0123456789.1234", attempt=1, runner_id="runner-1", started_at=time.time())


def _report() -> e.AttemptFinished:
    return e.AttemptFinished(
        job_id="r-0123456789.1234",
        attempt=1,
        runner_id="runner-1",
        outcome=Outcome.SUCCESS,
        started_at=time.time(),
        finished_at=time.time(),
    )


if __name__ == "__main__":
    runner(sys.argv[1], int(sys.argv[2]))
