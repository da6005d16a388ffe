"""Queries the systemd units, and cuts or restores the connection to the broker."""

from __future__ import annotations

import json
from pathlib import Path

from shell import run, until

TARGET = "cloud-builder.target"
RUNNER = "cb-runner@runner-1.service"
DAEMONS = ("cb-request.service", "cb-scheduler.service", "cb-collector.service", "cb-info.service", RUNNER)
SLOW = 600.0
"""Seconds that a daemon may take to be ready, on a processor that is played by a program."""
UNITS = Path("/etc/systemd/system")


def show(unit: str) -> dict[str, str]:
    output = run("systemctl", "show", unit)
    return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)


def states() -> dict[str, tuple[str, str, str]]:
    """(ActiveState, SubState, StatusText) of each daemon."""
    shown = {unit: show(unit) for unit in DAEMONS}
    return {unit: (one["ActiveState"], one["SubState"], one.get("StatusText", "")) for unit, one in shown.items()}


def all_at_work(within: float = SLOW) -> None:
    expected = ("active", "running", "at work")
    until(states, lambda seen: all(one == expected for one in seen.values()), within, "all daemons at work")


def at_work(unit: str, within: float = SLOW) -> None:
    seen = lambda: states()[unit]  # noqa: E731
    until(seen, lambda one: one[:2] == ("active", "running"), within, f"{unit} active")


def main_pid(unit: str) -> int:
    return int(show(unit)["MainPID"])


def broker_line(*, on: bool) -> None:
    """The broker runs on the machine outside. It gives its clients an address at which here a socket of systemd's
    listens, and passes on to there."""
    port = json.loads(Path("/srv/options.json").read_text())["port"]
    (UNITS / "broker.socket").write_text(
        f"[Socket]\nListenStream=127.0.0.1:{port}\n[Install]\nWantedBy=sockets.target\n"
    )
    proxy = f"/lib/systemd/systemd-socket-proxyd 10.0.2.2:{port}"
    (UNITS / "broker.service").write_text(f"[Service]\nExecStart={proxy}\n")
    run("systemctl", "daemon-reload")
    if on:
        run("systemctl", "enable", "--now", "broker.socket")
    else:
        run("systemctl", "stop", "broker.socket", "broker.service")
