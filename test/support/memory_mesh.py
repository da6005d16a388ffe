"""The whole mesh in one process: the five real daemons and their loops, over ports in memory and a clock moved by hand.

A test causes each fault at a chosen moment: a daemon is killed (before, during or after a send), the broker cannot be
reached or is replaced by an empty one, records of different topics arrive in any order. Only the threads of git and of
the builds run in real time; a round in which nothing is sent waits a millisecond for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from threading import Event
from uuid import uuid4

from cloud_builder.adapters.deb.control import DebMetadata
from cloud_builder.adapters.memory.broker import MemoryBroker
from cloud_builder.adapters.memory.builder import Build, MemoryBuilder
from cloud_builder.adapters.memory.queue import MemoryGroup, MemoryOfferQueue
from cloud_builder.adapters.memory.repository import MemoryRepositories
from cloud_builder.adapters.memory.signer import MemorySigner
from cloud_builder.adapters.memory.source import MemorySource
from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.adapters.memory.store import MemoryStore
from cloud_builder.flow.collector import CollectorFlow
from cloud_builder.flow.info import InfoFlow
from cloud_builder.flow.request import RequestFlow
from cloud_builder.flow.runner.cache_inventory import CacheInventory
from cloud_builder.flow.runner.flow import RunnerFlow
from cloud_builder.flow.scheduler import SchedulerFlow
from cloud_builder.mesh.codec import Envelope, decode, encode
from cloud_builder.mesh.loop import Loop
from cloud_builder.mesh.outage import Outage
from cloud_builder.model import events as e
from cloud_builder.model.artifact import Artifact, ArtifactKind, BinaryPackage
from cloud_builder.model.dispatch import Dispatch
from cloud_builder.model.outcome import Outcome
from cloud_builder.model.settings import (
    CollectorSettings,
    RequestSettings,
    RunnerSettings,
    SchedulerSettings,
    SourceSettings,
)
from cloud_builder.model.topics import TOPICS
from cloud_builder.planning.schedule.shared_queue import queues_of
from cloud_builder.ports.broker import OutgoingRecord, Partition, PendingSend, Record
from cloud_builder.ports.mesh import Flow
from cloud_builder.wiring.broker import read_offer
from support.waiting import LIMIT

URL = "memory:demo"
TICK = 0.1
"""Seconds by which a round moves the clock of the mesh."""


class Killed(BaseException):
    """A daemon is killed while it sends, as by SIGKILL."""


class Connection:
    """A daemon's connection. `cut_after`: only so many records of the next send arrive, then the daemon is killed."""

    def __init__(self, mesh: MemoryMesh) -> None:
        self._mesh, self._broker = mesh, mesh.broker
        self.cut_after: int | None = None
        for name in ("incarnation", "ensure_topics", "watermarks"):
            setattr(self, name, getattr(self._broker, name))

    def consumer(self, positions: Mapping[Partition, int]) -> ShufflingConsumer:
        return ShufflingConsumer(self._broker, positions, self._mesh.random)

    def producer(self) -> Connection:
        return self

    def send(self, records: list[OutgoingRecord], timeout: float) -> None:
        if self.cut_after is not None:
            self._broker.append(records[: self.cut_after])
            raise Killed
        self._broker.append(records)

    def post(self, records: list[OutgoingRecord]) -> PendingSend:
        self.send(records, 0.0)
        return self._broker.producer().post([])

    def send_best_effort(self, record: OutgoingRecord) -> None:
        with suppress(Exception):
            self._broker.append([record])

    def close(self, timeout: float = 0.0) -> None: ...


class ShufflingConsumer:
    """A consumer without order between partitions: with `random`, a poll returns some records of one of them."""

    def __init__(self, broker: MemoryBroker, positions: Mapping[Partition, int], random: Random | None) -> None:
        self._broker, self._random = broker, random
        self._parts = [broker.consumer({partition: start}) for partition, start in positions.items()]

    def poll(self, most: int, timeout: float) -> list[Record]:
        self._broker.reach()
        ready = [part for part in self._parts if not part.is_at_end()]
        if not ready:
            return []
        if self._random is None:
            return [record for part in ready for record in part.poll(most, 0.0)]
        return self._random.choice(ready).poll(self._random.randint(1, 20), 0.0)

    def is_at_end(self) -> bool:
        return all(part.is_at_end() for part in self._parts)

    def close(self) -> None: ...


def version_of(assignment: e.JobAssigned) -> str:
    """Returns the version that an assignment is built with: every source has version 1."""
    return assignment.rebuild.built_version if assignment.rebuild else "1"


class StoreBuilder(MemoryBuilder):
    """A builder that stores a package and a log; the same inputs give the same bytes."""

    def __init__(self, store: MemoryStore, build: Build) -> None:
        super().__init__(self._outcome)
        self.outcome_of, self._store = build, store
        self.assignments: list[e.JobAssigned] = []
        self.content: Callable[[e.JobAssigned], str] = lambda assignment: (
            f"{assignment.name} {version_of(assignment)} amd64 {assignment.input_key}"
        )
        """Returns the content of the package that is built for an assignment."""
        self.failure: dict[str, str] = {}
        """Fields of the report on a build that does not succeed."""

    def _outcome(self, assignment: e.JobAssigned, log: Callable[[bytes], None], cancel: Event) -> Outcome:
        return self.outcome_of(assignment, log, cancel)

    def build(self, assignment: e.JobAssigned, log: Callable[[bytes], None], cancel: Event) -> e.AttemptFinished:
        self.assignments.append(assignment)
        log(f"building {assignment.name}\n".encode())
        report = super().build(assignment, log, cancel)
        if report.outcome is not Outcome.SUCCESS:
            return report.model_copy(update=self.failure)
        version = version_of(assignment)
        package = BinaryPackage(name=assignment.name, version=version, architecture="amd64")
        deb = self._put(f"{assignment.name}_{version}_amd64.deb", self.content(assignment), package=package)
        log_file = self._put("log.txt", f"built {assignment.name}")
        return report.model_copy(update={"artifacts": (deb,), "log": log_file, "source_version": version})

    def _put(self, name: str, content: str, package: BinaryPackage | None = None) -> Artifact:
        digest = sha256(content.encode()).hexdigest()
        self._store.objects[digest] = content.encode()
        kind = ArtifactKind.DEB if package else ArtifactKind.LOG
        return Artifact(name=name, sha256=digest, size=len(content), kind=kind, package=package)


@dataclass
class MemoryDaemon:
    """A daemon. `state` outlives its process; `flow`, `loop` and `connection` are None while no process runs."""

    state: MemoryState
    start: Callable[[], Flow]
    flow: Flow | None = None
    outage: Outage = field(default_factory=Outage)
    loop: Loop | None = None
    connection: Connection | None = None


def _succeed(assignment: e.JobAssigned, log: Callable[[bytes], None], cancel: Event) -> Outcome:
    return Outcome.SUCCESS


class MemoryMesh:
    """The five daemons and their broker.

    files      content of the source `demo`
    build      decides the outcome of each build
    random     shuffles the records that are received; None: they come in order
    dispatch   how the scheduler gives jobs to runners
    """

    def __init__(
        self, files: dict[str, bytes], *, runners: int = 1, slots: int = 1, build: Build = _succeed,
        random: Random | None = None, sources: Iterable[str] = ("demo",), dispatch: Dispatch = Dispatch.DIRECTED,
    ) -> None:  # fmt: skip
        self.now, self.random, self.running = 1000.0, random, Event()
        self.git, self.store = MemorySource(), MemoryStore()
        self.git.repository(URL).commit(files)
        self.repositories, self.builder = MemoryRepositories(self.store), StoreBuilder(self.store, build)
        self.replaced_brokers: list[MemoryBroker] = []
        self.broker = MemoryBroker(self._clock)
        self._dispatch = dispatch
        self.group = MemoryGroup(self.broker, read_offer)
        self.queues: dict[str, MemoryOfferQueue] = {}
        names = {name: SourceSettings(url=URL) for name in sources}
        starts: dict[str, Callable[[], Flow]] = {
            "request": lambda: RequestFlow(RequestSettings(), names, self.git, [DebMetadata()], None),
            "scheduler": lambda: SchedulerFlow(
                SchedulerSettings(max_errors=1000, poison_after=1000), "http://here/objects", dispatch
            ),
            "collector": lambda: CollectorFlow(CollectorSettings(), self.store, self.repositories, MemorySigner()),
            "info": InfoFlow,
        }
        for number in range(1, runners + 1):
            starts[f"r{number}"] = lambda id=f"r{number}": RunnerFlow(
                RunnerSettings(id=id, slots=slots),
                self.builder,
                "x86_64",
                self.now,
                inventory=CacheInventory(10, 10),
                queue=self._queue(id),
            )
        self.daemons = {name: MemoryDaemon(MemoryState(), start) for name, start in starts.items()}
        self.start(*self.daemons)

    def _queue(self, name: str) -> MemoryOfferQueue | None:
        if self._dispatch is Dispatch.SHARED_QUEUE:
            self.queues[name] = MemoryOfferQueue(self.group, queues_of("x86_64", ""))
        return self.queues.get(name)

    def _clock(self) -> float:
        return self.now

    # --- processes ------------------------------------------------------------------------------------------------

    def start(self, *names: str) -> None:
        for name in names:
            daemon = self.daemons[name]
            flow = daemon.start()
            flow.max_wait = lambda: 0.0  # type: ignore[method-assign]
            daemon.flow, daemon.outage, daemon.connection = flow, Outage(), Connection(self)
            daemon.loop = Loop(flow, daemon.connection, daemon.state, clock=self._clock, outage=daemon.outage)
            assert daemon.loop.start(self.running)

    def kill(self, *names: str) -> None:
        for name in names or tuple(self.daemons):
            self.daemons[name].flow = self.daemons[name].loop = self.daemons[name].connection = None
            if name in self.queues:
                self.group.lost(self.queues[name])

    def stop(self, name: str) -> None:
        """Stops a daemon as SIGTERM does."""
        if (loop := self.daemons[name].loop) is not None:
            with suppress(Killed):
                loop.finish()
        self.kill(name)

    def replace_broker(self) -> None:
        """Replaces the broker by an empty one, and restarts every daemon."""
        self.replaced_brokers.append(self.broker)
        self.broker = MemoryBroker(self._clock)
        self.kill()
        self.group = MemoryGroup(self.broker, read_offer)
        self.start(*self.daemons)

    def unplug(self) -> None:
        self.broker.unplug()

    def plug(self) -> None:
        """Reconnects the broker. The delay before a daemon tries again is real time, and is skipped."""
        self.broker.plug()
        for daemon in self.daemons.values():
            daemon.outage.delay = 0.0

    def rewind(self) -> None:
        """Restarts every daemon at offset 0 of all topics."""
        self.kill()
        for daemon in self.daemons.values():
            with daemon.state.transaction():
                partitions = self.broker.watermarks(topic.name for topic in TOPICS)
                daemon.state.save_positions(self.broker.incarnation(), dict.fromkeys(partitions, 0))
        self.start(*self.daemons)

    @property
    def scheduler(self):
        """The state that the live scheduler has in memory."""
        return self.daemons["scheduler"].flow.state

    # --- time -----------------------------------------------------------------------------------------------------

    def round(self) -> None:
        """Runs one step of every live daemon. A daemon whose send is cut is killed."""
        before = self.size()
        self.now += TICK
        for name, daemon in self.daemons.items():
            if daemon.loop is not None:
                try:
                    daemon.loop.step(self.running)
                except Killed:
                    self.kill(name)
        if self.size() == before:
            time.sleep(0.001)

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < deadline, (
                f"the condition never held: {[type(event).__name__ for event in self.events()[-20:]]}"
            )
            self.round()

    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.round()

    # --- what was sent ------------------------------------------------------------------------------------------------

    def send(self, *payloads: e.Payload) -> None:
        """Sends as a client does: the same payload sent again is another event."""
        self.broker.append([encode(payload, source="test", id=str(uuid4()), time=self.now) for payload in payloads])

    def request(self, *units: str, id: str = "q", source: str = "demo", **more: object) -> None:
        self.send(e.BuildRequested.model_validate({"source": source, "units": units, "request_id": id, **more}))

    def first_builds(self) -> list[e.JobAssigned]:
        """Returns the first assignment of each job, in order: without retries, and without the second build of a job
        whose packages got the next version."""
        first = {assignment.job_id: assignment for assignment in reversed(self.builder.assignments)}
        return [assignment for assignment in self.builder.assignments if first[assignment.job_id] is assignment]

    def size(self) -> int:
        return sum(len(log) for log in self.broker.logs.values())

    def sizes(self) -> dict[str, int]:
        """Returns the number of records of each partition except heartbeats."""
        return {
            str(partition): len(log) for partition, log in self.broker.logs.items() if partition.topic != "cb.runner"
        }

    def envelopes(self) -> Iterator[Envelope]:
        """Yields each event of all brokers once, by topic."""
        seen = set()
        for broker in (*self.replaced_brokers, self.broker):
            for partition in sorted(broker.logs):
                for record in broker.logs[partition]:
                    with suppress(Exception):
                        event = decode(record, broker.incarnation())
                        if event.id not in seen:
                            seen.add(event.id)
                            yield event

    def events(self, *kinds: type[e.Payload]) -> list:
        return [event.payload for event in self.envelopes() if not kinds or isinstance(event.payload, kinds)]

    def is_finished(self, request: str = "q") -> bool:
        log = self.broker.logs.get(Partition("cb.result", 0), [])
        return any(record.key == request.encode() for record in log)

    def finished(self, request: str = "q") -> e.RequestFinished:
        """Waits for the result of a request, and returns it."""
        self.until(lambda: self.is_finished(request))
        return [event for event in self.events(e.RequestFinished) if event.request_id == request][-1]
