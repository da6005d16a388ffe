"""sd_notify as systemd receives it: messages on a real datagram socket, and their frequency."""

from __future__ import annotations

import os
import socket

import pytest

from cloud_builder.adapters.systemd import notify
from cloud_builder.ports.health import NullReporter


@pytest.fixture
def manager(tmp_path):
    """A socket bound like that of systemd."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


def received(manager: socket.socket) -> list[str]:
    lines = []
    while True:
        try:
            lines += manager.recv(4096).decode().splitlines()
        except BlockingIOError:
            return lines


def test_notifier_is_null_without_a_usable_notify_socket():
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
def test_watchdog_interval_counts_only_for_this_process(environment, seconds):
    assert notify.watchdog_of(environment) == seconds


def test_ready_and_stopping_are_sent(manager):
    notifier = notify.of_environment({"NOTIFY_SOCKET": manager.getsockname()})
    notifier.ready()
    notifier.stopping()
    assert received(manager) == ["READY=1", "STOPPING=1", "STATUS=stopping"]


def test_status_is_one_line_and_sent_only_when_it_changes(manager):
    notifier = notify.of_environment({"NOTIFY_SOCKET": manager.getsockname()})
    for status in ("at work", "at work", "waiting:\n  Kafka", "at work"):
        notifier.beat(status)
    assert received(manager) == ["STATUS=at work", "STATUS=waiting: Kafka", "STATUS=at work"]


def test_watchdog_is_notified_twice_per_interval(manager):
    now = [100.0]
    notifier = notify.Notifier(manager.getsockname(), 30.0, lambda: now[0])
    for _ in range(600):
        notifier.beat("at work")
        now[0] += 0.1
    assert received(manager).count("WATCHDOG=1") == 4


def test_notifier_neither_blocks_nor_fails_when_systemd_reads_nothing(manager):
    notifier = notify.Notifier(manager.getsockname())
    for number in range(5000):
        notifier.beat(f"round {number}")
    manager.close()
    notifier.ready()
