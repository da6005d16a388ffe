"""Runs the daemons as child processes: starts them, restarts them with back-off, and stops them in groups.

Must not lose a child: each is recorded with pid and start time, and ends with the supervisor, even if that is killed.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cloud_builder.adapters.process import spawn

from . import rundir

if TYPE_CHECKING:
    from cloud_builder.adapters.process import Popen

FIRST_DELAY = 0.5
MAX_DELAY = 30.0
"""Seconds before a restart: doubled after each exit, from the first to the longest."""
HEALTHY_AFTER = 30.0
"""Seconds. After a run of that length the next restart is delayed by FIRST_DELAY only."""
READY_AFTER = 3.0
"""Seconds after which a restarted child counts as running."""
STOP_TIMEOUT = 30.0
"""Seconds after which a child is killed. It needs up to 5 to stop, several times that on a busy machine."""
MAX_LOG_BYTES = 16 * 1024 * 1024
"""A larger log is renamed to `.log.1` when its daemon starts."""

_LOG = logging.getLogger("cb.up")


@dataclass
class Child:
    """A daemon that the supervisor runs. `arguments` follow the name of its program."""

    name: str
    daemon: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: Popen[bytes] | None = None
    record: rundir.Process | None = None
    started_at: float = 0.0
    exits: int = 0
    """Exits in a row; 1 again after a run of HEALTHY_AFTER seconds."""
    restart_at: float = 0.0
    last_status: int | None = field(default=None)

    def start(self, now: float) -> None:
        program = [sys.executable, "-m", "cloud_builder.wiring", self.daemon]
        command = [*program, *self.arguments, "--parent", str(os.getpid())]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > MAX_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self.process = spawn(command, env=self.environment, stdout=log, stderr=log, new_session=True)
        self.record = rundir.process(self.name, self.process.pid)
        self.started_at = now

    def reconcile(self, now: float) -> bool:
        """Records an exit, or restarts the daemon when that is due. Returns True if something has changed."""
        if self.process is not None:
            status = self.process.poll()
            if status is None:
                return False
            self._on_exit(status, now)
            return True
        if now >= self.restart_at:
            self.start(now)
            return True
        return False

    def is_healthy(self, now: float) -> bool:
        """True if the daemon runs, and after an exit for long enough not to exit again at once."""
        return self.process is not None and (self.exits == 0 or now - self.started_at > READY_AFTER)

    def _on_exit(self, status: int, now: float) -> None:
        self.exits = 1 if now - self.started_at > HEALTHY_AFTER else self.exits + 1
        delay = min(MAX_DELAY, FIRST_DELAY * 2 ** min(self.exits - 1, 16))
        _LOG.warning("exited", extra={"daemon": self.name, "status": status, "restart_in": delay, "log": self.log})
        self.process, self.last_status, self.restart_at = None, status, now + delay

    def terminate(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def wait(self, deadline: float) -> None:
        """Waits until the daemon has ended; kills it at the deadline."""
        if self.process is None:
            return
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if self.process.poll() is None:
            _LOG.warning("killed", extra={"daemon": self.name, "why": "did not stop in time"})
            self.process.kill()
            self.process.wait()
        self.process = None


def stop_in_order(children: Sequence[Child], order: Sequence[str], within: float = STOP_TIMEOUT) -> None:
    """Stops group by group, so that the next group still handles the last events of the one before.

    `within`: seconds for each group."""
    for daemon in order:
        group = [child for child in children if child.daemon == daemon]
        for child in group:
            child.terminate()
        deadline = time.monotonic() + within
        for child in group:
            child.wait(deadline)
            _LOG.info("stopped", extra={"daemon": child.name})
