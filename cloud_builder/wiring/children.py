"""The daemons as child processes: started, started again with back-off when they die, stopped one group after another.

Must never lose sight of a child: each is known by pid and start time, and ends with the supervisor, however that ends.
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
MOST_DELAY = 30.0
HEALTHY_AFTER = 30.0
"""Seconds of life after which a death is no longer held against a child."""
READY_AFTER = 3.0
"""Seconds after which a child that was started again is taken for alive."""
STOP_WITHIN = 30.0
"""Seconds after which a child is killed. It needs up to 5 on a quiet machine, several times that on a busy one."""
LOG_BYTES = 16 * 1024 * 1024

_LOG = logging.getLogger("cb.up")


@dataclass
class Child:
    """One daemon. `arguments` follow its program's name."""

    name: str
    daemon: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: Popen[bytes] | None = None
    seen: rundir.Process | None = None
    born: float = 0.0
    deaths: int = 0
    due: float = 0.0
    """When it may be started again."""
    last_status: int | None = field(default=None)

    def start(self, now: float) -> None:
        program = [sys.executable, "-m", "cloud_builder.wiring", self.daemon]
        command = [*program, *self.arguments, "--parent", str(os.getpid())]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self.process = spawn(command, env=self.environment, stdout=log, stderr=log, new_session=True)
        self.seen = rundir.process(self.name, self.process.pid)
        self.born = now

    def tend(self, now: float) -> bool:
        """Notices its death, starts it again when that is due; True when anything changed."""
        if self.process is not None:
            status = self.process.poll()
            if status is None:
                return False
            self._died(status, now)
            return True
        if now >= self.due:
            self.start(now)
            return True
        return False

    def is_healthy(self, now: float) -> bool:
        """Alive, and if it has died before, for long enough to believe it."""
        return self.process is not None and (self.deaths == 0 or now - self.born > READY_AFTER)

    def _died(self, status: int, now: float) -> None:
        self.deaths = 1 if now - self.born > HEALTHY_AFTER else self.deaths + 1
        delay = min(MOST_DELAY, FIRST_DELAY * 2 ** min(self.deaths - 1, 16))
        _LOG.warning("died", extra={"daemon": self.name, "status": status, "again_in": delay, "log": self.log})
        self.process, self.last_status, self.due = None, status, now + delay

    def tell_to_stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def wait(self, deadline: float) -> None:
        """Until it has ended; killed with all that is in its session at the deadline."""
        if self.process is None:
            return
        while self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        if self.process.poll() is None:
            _LOG.warning("killed", extra={"daemon": self.name, "why": "did not stop in time"})
            self.process.kill()
            self.process.wait()
        self.process = None


def stop_in_order(children: Sequence[Child], order: Sequence[str], within: float = STOP_WITHIN) -> None:
    """Group by group: what one has said last is still heard by the next. `within`: seconds a group."""
    for daemon in order:
        group = [child for child in children if child.daemon == daemon]
        for child in group:
            child.tell_to_stop()
        deadline = time.monotonic() + within
        for child in group:
            child.wait(deadline)
            _LOG.info("stopped", extra={"daemon": child.name})
