"""A daemon as systemd starts it: ready when the broker is found, a watchdog message in time, stopping on request."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

from cloud_builder.adapters.kafka.embedded import EmbeddedBroker
from support.waiting import LIMIT


def wait_for(manager: socket.socket, expected: str) -> None:
    received: list[str] = []
    manager.settimeout(LIMIT)
    while expected not in received:
        try:
            received += manager.recv(4096).decode().splitlines()
        except TimeoutError:
            raise AssertionError(f"{expected} was not received, but {received}") from None


def test_daemon_reports_its_states_to_systemd(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        broker = EmbeddedBroker()
        try:
            fields = broker.start()
            given = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "1000000"}
            named = {"CB_HOME": str(tmp_path / "home"), "CB_BROKER": json.dumps(fields)}
            command = [sys.executable, "-m", "cloud_builder.wiring", "scheduler"]
            daemon = subprocess.Popen(command, env={**os.environ, **given, **named}, stderr=subprocess.DEVNULL)
            try:
                wait_for(manager, "READY=1")
                wait_for(manager, "STATUS=at work")
                wait_for(manager, "WATCHDOG=1")
                wait_for(manager, "WATCHDOG=1")
                daemon.send_signal(signal.SIGTERM)
                wait_for(manager, "STOPPING=1")
                assert daemon.wait(LIMIT) == 0
            finally:
                daemon.kill()
                daemon.wait()
        finally:
            broker.close()
