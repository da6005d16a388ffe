"""Reports health to systemd by sd_notify(3) (the port HealthReporter): datagrams to the socket in $NOTIFY_SOCKET.

Sends READY=1 once, STATUS= when it changes, STOPPING=1 at the end, and WATCHDOG=1 at most twice in the time after which
systemd would restart the daemon ($WATCHDOG_USEC, for the process $WATCHDOG_PID). Must not block or end the daemon.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping

from cloud_builder.ports.health import HealthReporter, NullReporter

_MAX_STATUS = 200


def of_environment(environ: Mapping[str, str]) -> HealthReporter:
    """Returns the reporter for the environment; without systemd one that does nothing."""
    address = environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return NullReporter()
    return Notifier(address, watchdog_of(environ))


def watchdog_of(environ: Mapping[str, str]) -> float:
    """Returns after how many seconds without WATCHDOG=1 systemd ends the process; 0: never (sd_watchdog_enabled(3))."""
    period, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not period.isdecimal() or (pid and pid != str(os.getpid())):
        return 0.0
    return int(period) / 1e6


class Notifier:
    """Sends to `address`: a path, or @name in the abstract namespace. `watchdog`: seconds, 0 for none."""

    def __init__(self, address: str, watchdog: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._every = watchdog / 2
        self._clock = clock
        self._beaten = 0.0
        self._status = ""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)

    def ready(self) -> None:
        self._send("READY=1")

    def beat(self, status: str) -> None:
        now = self._clock()
        lines = []
        if self._every and now - self._beaten >= self._every:
            self._beaten = now
            lines.append("WATCHDOG=1")
        line = " ".join(status.split())[:_MAX_STATUS]
        if line != self._status:
            self._status = line
            lines.append(f"STATUS={line}")
        if lines:
            self._send(*lines)

    def stopping(self) -> None:
        self._send("STOPPING=1", "STATUS=stopping")

    def _send(self, *lines: str) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendto("\n".join(lines).encode(), self._address)
