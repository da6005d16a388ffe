"""The whole mesh of one machine: a broker, the five daemons as children, and nothing of it left when it ends.

In: a Plan (on the command line, as JSON). Out: `<home>/run/broker.json` and `up.json`, logs in `<home>/log`. Ends on
SIGTERM: the front door first, the window last, the embedded broker at the very end. Must never build or decide.
"""

from __future__ import annotations

import fcntl
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

from cloud_builder.errors import CloudBuilderError, ExitCode, Rejected
from cloud_builder.mesh import logs
from cloud_builder.model.settings import BrokerSettings

from . import broker as brokers
from . import parent_death, rundir, stop_signals
from .children import Child, stop_in_order
from .readiness import ReadinessCheck

STOP_ORDER = ("request", "runner", "scheduler", "collector", "info")
"""Runners before the scheduler: what they hand back is heard, even when the broker forgets everything at its end."""
RECONCILE_INTERVAL = 0.2

_LOG = logging.getLogger("cb.up")


@dataclass(frozen=True)
class MeshSpec:
    """What to run. `broker` None: the embedded one. `environment`: CB_* variables that flags of `up` stand for."""

    home: Path
    runners: int = 1
    broker: BrokerSettings | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    parent: int = 0
    """End with this process; 0: stay when the one who started it is gone."""

    def as_json(self) -> str:
        broker = self.broker.model_dump() if self.broker else None
        return json.dumps({**asdict(self), "home": str(self.home), "broker": broker})

    @classmethod
    def from_json(cls, text: str) -> MeshSpec:
        raw = json.loads(text)
        broker = BrokerSettings.model_validate(raw["broker"]) if raw["broker"] else None
        return cls(**{**raw, "home": Path(raw["home"]), "broker": broker})


class Supervisor:
    """Runs a plan until it is told to stop."""

    def __init__(self, plan: MeshSpec) -> None:
        self._plan = plan
        self._children: list[Child] = []
        self._stage = ""
        self._broker = BrokerSettings()

    def run(self, stop: Event) -> None:
        """Rejected when another one has this home, Retryable when the broker cannot be reached."""
        with ExitStack() as stack:
            stack.enter_context(exclusive_home(self._plan.home))
            stack.callback(lambda: rundir.up_file(self._plan.home).unlink(missing_ok=True))
            self._say("waiting for the broker" if self._plan.broker else "starting the embedded broker")
            self._broker = self._start_broker(stack)
            rundir.write_broker(self._plan.home, self._broker)
            self._children = self._wanted()
            stack.callback(lambda: stop_in_order(self._children, STOP_ORDER))
            self._say("starting the daemons")
            self._tend_until(stop)

    def _start_broker(self, stack: ExitStack) -> BrokerSettings:
        if self._plan.broker is None:
            from cloud_builder.adapters.kafka.embedded import EmbeddedBroker

            embedded = EmbeddedBroker(rundir.wake_directory(self._plan.home))
            stack.callback(embedded.close)
            return embedded.start()
        probe = brokers.connect(self._plan.broker)
        try:
            probe.incarnation()
        finally:
            probe.close()
        return self._plan.broker

    def _wanted(self) -> list[Child]:
        home = ["--home", str(self._plan.home)]
        names = [("info", "info"), ("collector", "collector"), ("scheduler", "scheduler"), ("request", "request")]
        runners = [(f"runner-{number}", "runner") for number in range(1, self._plan.runners + 1)]
        return [
            Child(
                name=name,
                daemon=daemon,
                arguments=[*home, *(["--id", name] if daemon == "runner" else [])],
                environment=self._environment(),
                log=rundir.log_file(self._plan.home, name),
            )
            for name, daemon in [*names, *runners]
        ]

    def _environment(self) -> dict[str, str]:
        broker = self._broker.model_dump_json()
        return {**os.environ, **self._plan.environment, "CB_BROKER": broker, "PYTHONUNBUFFERED": "1"}

    def _tend_until(self, stop: Event) -> None:
        readiness = ReadinessCheck(self._plan.home, self._plan.runners, self._environment())
        try:
            while self._stage and not stop.is_set():
                self._tend()
                if missing := self._unwell():
                    readiness.end()
                else:
                    missing = readiness.missing()
                if missing != self._stage:
                    self._say(missing)
                stop.wait(RECONCILE_INTERVAL)
        finally:
            readiness.end()
        while not stop.is_set():
            self._tend()
            stop.wait(RECONCILE_INTERVAL)
        self._say("stopping")

    def _tend(self) -> None:
        changed = [child.tend(time.monotonic()) for child in self._children]
        if any(changed):
            self._write()

    def _unwell(self) -> str:
        """Names daemons that have died and have not lived for a while since."""
        now = time.monotonic()
        names = [child.name for child in self._children if not child.is_healthy(now)]
        return f"waiting for {', '.join(names)}, which died" if names else ""

    def _say(self, stage: str) -> None:
        self._stage = stage
        _LOG.info(stage or "up", extra={"home": self._plan.home, "broker": self._broker.bootstrap})
        self._write()

    def _write(self) -> None:
        children = tuple(child.seen for child in self._children if child.seen is not None and child.process is not None)
        dying = tuple(child.name for child in self._children if child.deaths)
        me = rundir.process("supervisor", os.getpid())
        broker = "embedded" if self._broker.embedded else self._broker.bootstrap
        rundir.write_up(self._plan.home, rundir.RunningMesh(me, children, broker, self._stage, dying))


def exclusive_home(home: Path) -> ExitStack:
    """Holds the lock of a home. Rejected when a living supervisor has it."""
    path = rundir.lock_file(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    held = ExitStack()
    file = held.enter_context(path.open("w"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        raise Rejected(f"a mesh is running at {home}", code="already-up", hint="cb-ctl status, cb-ctl down") from None
    return held


def main() -> None:
    """`python -m cloud_builder.wiring.supervisor PLAN`: see Plan.as_json."""
    plan = MeshSpec.from_json(sys.argv[1])
    stop = stop_signals.stop_on(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    if plan.parent:
        parent_death.end_with(plan.parent)
    logs.configure("up")
    try:
        Supervisor(plan).run(stop)
    except CloudBuilderError as error:
        rundir.write_whole(rundir.error_file(plan.home), json.dumps({"code": error.code, "message": str(error)}))
        sys.stderr.write(f"cb-ctl up: {error}\n")
        sys.exit(error.exit_code)
    sys.exit(ExitCode.SUCCESS)


if __name__ == "__main__":
    main()
