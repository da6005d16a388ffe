"""A daemon as systemd starts it: ready when the broker is found, a sign of life in time, stopping when told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

from cloud_builder.adapters.kafka.embedded import EmbeddedBroker
from support.waiting import LIMIT


def hear(manager: socket.socket, wanted: str) -> None:
    said: list[str] = []
    manager.settimeout(LIMIT)
    while wanted not in said:
        try:
            said += manager.recv(4096).decode().splitlines()
        except TimeoutError:
            raise AssertionError(f"{wanted} was not said, but {said}") from None


def test_a_daemon_says_when_it_waits_is_ready_lives_and_stops(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        broker = EmbeddedBroker()
        try:
            settings = broker.start()
            given = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "1000000"}
            named = {"CB_HOME": str(tmp_path / "home"), "CB_BROKER": settings.model_dump_json()}
            command = [sys.executable, "-m", "cloud_builder.wiring", "scheduler"]
            daemon = subprocess.Popen(command, env={**os.environ, **given, **named}, stderr=subprocess.DEVNULL)
            try:
                hear(manager, "READY=1")
                hear(manager, "STATUS=at work")
                hear(manager, "WATCHDOG=1")
                hear(manager, "WATCHDOG=1")
                daemon.send_signal(signal.SIGTERM)
                hear(manager, "STOPPING=1")
                assert daemon.wait(LIMIT) == 0
            finally:
                daemon.kill()
                daemon.wait()
        finally:
            broker.close()
