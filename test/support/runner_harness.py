"""Drives cb-runner without a mesh: its flow, a builder in memory, and a clock that a test moves."""

from cloud_builder.adapters.memory.builder import MemoryBuilder
from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.flow.runner.cache_inventory import CacheInventory
from cloud_builder.flow.runner.flow import RunnerFlow
from cloud_builder.model.settings import RunnerSettings
from support.waiting import until
from support.work import ReceivedEvent, RecordingWork


class RunnerHarness:
    """Drives a runner's flow. `emitted`: all its events so far."""

    def __init__(self, build=None, state=None, **settings):
        self.builder = MemoryBuilder(build) if build else MemoryBuilder()
        self.state = state or MemoryState()
        self.now = 1000.0
        self.emitted = []
        self.flow = RunnerFlow(
            RunnerSettings(id="r1", **settings), self.builder, "x86_64", self.now, inventory=CacheInventory(10, 10)
        )
        self.flow.restore(self.state)

    def deliver(self, *payloads, broker_seen=None):
        with self.state.transaction():
            work = RecordingWork(self.state, self.now, broker_seen=self.now if broker_seen is None else broker_seen)
            for payload in payloads:
                self.flow.handle(ReceivedEvent(payload), work)
            self.flow.tick(work)
        self.emitted += work.emitted

    def roll_back(self, *payloads):
        """Runs a transaction that cannot be committed; returns the events that it would have emitted."""
        try:
            with self.state.transaction():
                work = RecordingWork(self.state, self.now, broker_seen=self.now)
                for payload in payloads:
                    self.flow.handle(ReceivedEvent(payload), work)
                self.flow.tick(work)
                raise OSError("disk full")
        except OSError:
            self.flow.restore(self.state)
        return work.emitted

    def stop(self):
        with self.state.transaction():
            work = RecordingWork(self.state, self.now, broker_seen=self.now)
            self.flow.stop(work)
        self.emitted += work.emitted

    def of(self, kind):
        return [payload for payload in self.emitted if isinstance(payload, kind)]

    def until(self, kind, count=1):
        """Runs the flow until so many events of that kind were emitted; returns them."""

        def step():
            self.deliver()
            return len(self.of(kind)) >= count

        until(lambda: len(self.of(kind)) >= count or step(), lambda: f"{count} {kind.__name__}: {self.emitted}")
        return self.of(kind)
