"""Drives cb-request without a mesh: its flow, a git in memory, and a clock that a test moves."""

from __future__ import annotations

from collections.abc import Callable, Collection
from hashlib import sha256
from typing import Any

from cloud_builder.adapters.deb.control import DebMetadata
from cloud_builder.adapters.memory.source import MemorySource
from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.flow.request import RequestFlow
from cloud_builder.model.events import BuildRequested, Payload
from cloud_builder.model.ids import Digest, SourceName
from cloud_builder.model.settings import RequestSettings, SourceSettings
from support.factories import unit_files
from support.waiting import until
from support.work import ReceivedEvent, RecordingWork

DEMO = SourceName("demo")
URL = "memory:demo"


FILES = unit_files("libgreet") | unit_files("hello", "libgreet") | unit_files("tool", "hello")


class FakeRepositoryStates:
    """The states of package repositories; a test sets `value`."""

    value = "one"

    def state(self, build_root: bytes, profiles: Collection[str]) -> Digest:
        return Digest(sha256(self.value.encode()).hexdigest())

    def unverified(self, build_root: bytes, profiles: Collection[str]) -> tuple[str, ...]:
        return ()


class RequestHarness:
    """Drives cb-request's flow as the mesh loop does; a test moves the clock."""

    def __init__(self, mirror: MemorySource, sources: dict[str, SourceSettings] | None = None, **settings: Any) -> None:
        self.mirror = mirror
        self.states = FakeRepositoryStates()
        self.state = MemoryState()
        self.settings = RequestSettings(repository_state_max_age=0.0, **settings)
        self.sources = {DEMO: SourceSettings(url=URL)} if sources is None else sources
        self.now = 1000.0
        self.emitted: list[Payload] = []
        self.flow = self.start()

    def start(self) -> RequestFlow:
        self.flow = RequestFlow(self.settings, self.sources, self.mirror, [DebMetadata()], self.states)
        self.flow.restore(self.state)
        return self.flow

    def do(self, step: Callable[[RecordingWork], object]) -> list[Payload]:
        """Runs a step in a transaction; returns the events that it emitted."""
        work = RecordingWork(self.state, self.now)
        with self.state.transaction():
            step(work)
        assert not work.live, "only runners emit outside of a transaction"
        self.emitted += work.emitted
        return work.emitted

    def send(self, payload: Payload) -> None:
        self.do(lambda work: self.flow.handle(ReceivedEvent(payload), work))

    def run(self) -> list[Payload]:
        """Ticks until no query to git is pending; returns the events that were emitted."""
        before = len(self.emitted)
        self.do(self.flow.tick)
        until(lambda: not self.flow.is_busy or self.do(self.flow.tick) is None, "git answers")
        return self.emitted[before:]

    def advance(self, seconds: float) -> list[Payload]:
        """Moves the clock and runs."""
        self.now += seconds
        return self.run()

    def request(self, **fields: Any) -> Payload:
        """Sends a request and runs; returns the newest event about it, or else the newest of all."""
        body = {"source": "demo", "request_id": "r-1", **fields}
        self.send(BuildRequested.model_validate(body))
        self.run()
        replies = [event for event in self.emitted if getattr(event, "request_id", "") == body["request_id"]]
        return replies[-1] if replies else self.emitted[-1]
