"""A daemon as systemd starts it: ready when the broker is found, a sign of life in time, stopping when told."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

from cloud_builder.adapters.kafka.embedded import EmbeddedBroker


def hear(manager: socket.socket, wanted: str, within: float = 30) -> None:
    deadline = time.monotonic() + within
    said: list[str] = []
    while wanted not in said:
        manager.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            said += manager.recv(4096).decode().splitlines()
        except TimeoutError:
            raise AssertionError(f"{wanted} was not said within {within} s, but {said}") from None


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
                hear(manager, "WATCHDOG=1", 3)
                hear(manager, "WATCHDOG=1", 3)
                daemon.send_signal(signal.SIGTERM)
                hear(manager, "STOPPING=1", 5)
                assert daemon.wait(10) == 0
            finally:
                daemon.kill()
                daemon.wait()
        finally:
            broker.close()
