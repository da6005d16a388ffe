"""Runs the whole mesh of one machine: a broker, and the five daemons as children. Leaves no process when it ends.

Input: a MeshSpec (on the command line, as JSON). Output: `<home>/run/broker.json` and `up.json`, logs in `<home>/log`.
On SIGTERM it stops cb-request first, cb-info last, and then the embedded broker. Must not: build, or decide about jobs,
or import pydantic when the broker is the embedded one (it is a third of the memory that a supervisor needs).
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from cloud_builder.errors import CloudBuilderError, ExitCode, Rejected
from cloud_builder.files.locks import try_lock
from cloud_builder.mesh import logs

from . import parent_exit, rundir, stop_signals
from .children import Child, stop_in_order
from .readiness import ReadinessCheck

STOP_ORDER = ("request", "runner", "scheduler", "collector", "info")
"""Runners stop before the scheduler, so that it still requeues the jobs of the stopped runners. The embedded broker
loses its messages when it ends."""
RECONCILE_INTERVAL = 0.2
"""Seconds between two checks of the children."""

_LOG = logging.getLogger("cb.up")


@dataclass(frozen=True)
class MeshSpec:
    """The processes to run. `environment`: CB_* variables for options of `up`."""

    home: Path
    runners: int = 1
    broker: Mapping[str, Any] | None = None
    """The fields of BrokerSettings; None: the embedded broker."""
    environment: Mapping[str, str] = field(default_factory=dict)
    parent: int = 0
    """The pid of a process with which the supervisor ends; 0: it runs on when the process that started it has ended."""

    def as_json(self) -> str:
        return json.dumps({**asdict(self), "home": str(self.home)})

    @classmethod
    def from_json(cls, text: str) -> MeshSpec:
        raw = json.loads(text)
        return cls(**{**raw, "home": Path(raw["home"])})


class Supervisor:
    """The supervisor of one mesh."""

    def __init__(self, spec: MeshSpec) -> None:
        self._spec = spec
        self._children: list[Child] = []
        self._stage = ""
        self._broker: Mapping[str, Any] = {}

    def run(self, stop: Event) -> None:
        """Runs the mesh until `stop` is set.

        Rejected when another supervisor runs on this home, Retryable when the broker cannot be reached."""
        with ExitStack() as stack:
            stack.enter_context(exclusive_home(self._spec.home))
            stack.callback(lambda: rundir.up_file(self._spec.home).unlink(missing_ok=True))
            self._set_stage("waiting for the broker" if self._spec.broker else "starting the embedded broker")
            self._broker = self._start_broker(stack)
            rundir.write_broker(self._spec.home, self._broker)
            self._children = self._make_children()
            stack.callback(lambda: stop_in_order(self._children, STOP_ORDER))
            self._set_stage("starting the daemons")
            self._reconcile_until(stop)

    def _start_broker(self, stack: ExitStack) -> Mapping[str, Any]:
        """Returns the fields of BrokerSettings for the daemons."""
        if self._spec.broker is None:
            from cloud_builder.adapters.kafka.embedded import EmbeddedBroker

            embedded = EmbeddedBroker(rundir.wake_directory(self._spec.home))
            stack.callback(embedded.close)
            return embedded.start()
        from cloud_builder.model.settings import BrokerSettings

        from .broker import connect

        probe = connect(BrokerSettings(**self._spec.broker))
        try:
            probe.incarnation()
        finally:
            probe.close()
        return self._spec.broker

    def _make_children(self) -> list[Child]:
        home = ["--home", str(self._spec.home)]
        names = [("info", "info"), ("collector", "collector"), ("scheduler", "scheduler"), ("request", "request")]
        runners = [(f"runner-{number}", "runner") for number in range(1, self._spec.runners + 1)]
        return [
            Child(
                name=name,
                daemon=daemon,
                arguments=[*home, *(["--id", name] if daemon == "runner" else [])],
                environment=self._environment(),
                log=rundir.log_file(self._spec.home, name),
            )
            for name, daemon in [*names, *runners]
        ]

    def _environment(self) -> dict[str, str]:
        broker = {"CB_BROKER": json.dumps(self._broker)}
        return {**os.environ, **self._spec.environment, **broker, "PYTHONUNBUFFERED": "1"}

    def _reconcile_until(self, stop: Event) -> None:
        readiness = ReadinessCheck(self._spec.home, self._spec.runners, self._environment())
        try:
            while self._stage and not stop.is_set():
                self._reconcile()
                if missing := self._waiting_for_restarts():
                    readiness.end()
                else:
                    missing = readiness.missing()
                if missing != self._stage:
                    self._set_stage(missing)
                stop.wait(RECONCILE_INTERVAL)
        finally:
            readiness.end()
        while not stop.is_set():
            self._reconcile()
            stop.wait(RECONCILE_INTERVAL)
        self._set_stage("stopping")

    def _reconcile(self) -> None:
        changed = [child.reconcile(time.monotonic()) for child in self._children]
        if any(changed):
            self._write()

    def _waiting_for_restarts(self) -> str:
        """Returns a message that names the daemons that have just exited or restarted; empty if there is none."""
        now = time.monotonic()
        names = [child.name for child in self._children if not child.is_healthy(now)]
        return f"waiting for {', '.join(names)} to restart" if names else ""

    def _set_stage(self, stage: str) -> None:
        self._stage = stage
        _LOG.info(stage or "up", extra={"home": self._spec.home, "broker": self._broker.get("bootstrap", "")})
        self._write()

    def _write(self) -> None:
        children = tuple(
            child.record for child in self._children if child.record is not None and child.process is not None
        )
        failing = tuple(child.name for child in self._children if child.exits)
        me = rundir.process("supervisor", os.getpid())
        broker = "embedded" if self._spec.broker is None else self._spec.broker["bootstrap"]
        rundir.write_running_mesh(self._spec.home, rundir.RunningMesh(me, children, broker, self._stage, failing))


def exclusive_home(home: Path) -> ExitStack:
    """Locks a home until the returned stack is closed. Rejected when another supervisor has the lock."""
    path = rundir.lock_file(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = ExitStack()
    file = lock.enter_context(path.open("w"))
    if not try_lock(file.fileno()):
        lock.close()
        hint = "`cb-ctl status` shows it, `cb-ctl down` stops it."
        raise Rejected(f"a mesh is running at {home}", code="already-up", hint=hint)
    return lock


def main() -> None:
    """`python -m cloud_builder.wiring.supervisor SPEC`: see MeshSpec.as_json."""
    spec = MeshSpec.from_json(sys.argv[1])
    stop = stop_signals.stop_on(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    if spec.parent:
        parent_exit.end_with(spec.parent)
    logs.configure("up")
    try:
        Supervisor(spec).run(stop)
    except CloudBuilderError as error:
        rundir.write_whole(rundir.error_file(spec.home), json.dumps({"code": error.code, "message": str(error)}))
        sys.stderr.write(f"cb-ctl up: {error}\n")
        sys.exit(error.exit_code)
    sys.exit(ExitCode.SUCCESS)


if __name__ == "__main__":
    main()
