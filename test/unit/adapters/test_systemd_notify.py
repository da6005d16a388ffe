"""sd_notify as systemd receives it: a real datagram socket, what arrives there and how often."""

from __future__ import annotations

import os
import socket

import pytest

from cloud_builder.adapters.systemd import notify
from cloud_builder.ports.health import NullReporter


@pytest.fixture
def manager(tmp_path):
    """The socket of a systemd that listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


def heard(manager: socket.socket) -> list[str]:
    said = []
    while True:
        try:
            said += manager.recv(4096).decode().splitlines()
        except BlockingIOError:
            return said


def test_without_systemd_nobody_is_told():
    assert isinstance(notify.of_environment({}), NullReporter)
    assert isinstance(notify.of_environment({"NOTIFY_SOCKET": "vsock:2:1234"}), NullReporter)


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
    ],
)
def test_the_watchdog_is_ours_only_when_it_says_so(environment, seconds):
    assert notify.watchdog_of(environment) == seconds


def test_ready_and_stopping_are_said(manager):
    pulse = notify.of_environment({"NOTIFY_SOCKET": manager.getsockname()})
    pulse.ready()
    pulse.stopping()
    assert heard(manager) == ["READY=1", "STOPPING=1", "STATUS=stopping"]


def test_a_status_is_one_line_and_said_when_it_changes(manager):
    pulse = notify.of_environment({"NOTIFY_SOCKET": manager.getsockname()})
    for status in ("at work", "at work", "waiting:\n  Kafka", "at work"):
        pulse.beat(status)
    assert heard(manager) == ["STATUS=at work", "STATUS=waiting: Kafka", "STATUS=at work"]


def test_the_watchdog_hears_us_twice_in_its_time(manager):
    now = [100.0]
    pulse = notify.Notifier(manager.getsockname(), 30.0, lambda: now[0])
    for _ in range(600):
        pulse.beat("at work")
        now[0] += 0.1
    assert heard(manager).count("WATCHDOG=1") == 4


def test_a_systemd_that_is_gone_or_deaf_holds_nobody_up(manager):
    pulse = notify.Notifier(manager.getsockname())
    for number in range(5000):
        pulse.beat(f"round {number}")
    manager.close()
    pulse.ready()
