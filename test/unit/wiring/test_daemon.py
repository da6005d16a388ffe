"""The five programs as a service manager sees them: usage, settings, signals, exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.waiting import LIMIT

SERVICES = Path(__file__).parents[3] / "services"
NAMES = ("request", "scheduler", "runner", "collector", "info")


def command(name: str, *words: str) -> list[str]:
    return [sys.executable, str(SERVICES / f"cb-{name}"), *words]


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("CB_")}
    return {**kept, "CB_HOME": str(tmp_path / "home"), "CB_CACHE": str(tmp_path / "cache"), **more}


def test_each_daemon_has_a_program() -> None:
    assert {path.name for path in SERVICES.iterdir() if path.is_file()} == {f"cb-{name}" for name in NAMES}
    assert all(os.access(SERVICES / f"cb-{name}", os.X_OK) for name in NAMES)


@pytest.mark.parametrize(
    ("words", "variables", "status", "message"),
    [
        (["--help"], {}, 0, "cb-runner, a build agent"),
        (["--version"], {}, 0, "cb-runner"),
        (["--slotz", "2"], {}, 2, "--slotz"),
        ([], {"CB_RUNNER__SLOTS": "0"}, 3, "CB_RUNNER__SLOTS"),
        (["--broker", "kafka"], {}, 3, "not HOST:PORT"),
    ],
)
def test_wrong_usage_or_setting_is_reported_with_an_exit_code(
    tmp_path: Path, words: list[str], variables: dict[str, str], status: int, message: str
) -> None:
    ended = subprocess.run(
        command("runner", *words), env=environment(tmp_path, **variables), capture_output=True, text=True, check=False
    )
    assert ended.returncode == status
    assert message in ended.stdout + ended.stderr


def test_daemon_reports_an_unreachable_broker_once_and_stops_on_sigterm(tmp_path: Path) -> None:
    daemon = subprocess.Popen(
        command("info", "--broker", "127.0.0.1:1"), env=environment(tmp_path), stderr=subprocess.PIPE, text=True
    )
    assert daemon.stderr is not None
    for line in daemon.stderr:
        if "unreachable" in line:
            break
    daemon.send_signal(signal.SIGTERM)
    rest = daemon.stderr.read()
    assert daemon.wait(LIMIT) == 0
    assert "unreachable" not in rest
    daemon.stderr.close()


def test_runner_without_a_broker_removes_leftovers_of_an_earlier_process(tmp_path: Path) -> None:
    left = tmp_path / "home" / "runner-1" / "work" / "jobs" / "request-5.1.1.0badcafe"
    left.mkdir(parents=True)
    runner = subprocess.Popen(
        command("runner", "--broker", "127.0.0.1:1"),
        env=environment(tmp_path, CB_RUNNER__SIMULATE="1"), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert runner.stderr is not None
    for line in runner.stderr:
        if "unreachable" in line:
            break
    runner.terminate()
    runner.communicate()
    assert runner.returncode == 0
    assert not left.exists()


def test_second_daemon_on_the_same_home_is_rejected(tmp_path: Path) -> None:
    first = subprocess.Popen(
        command("info", "--broker", "127.0.0.1:1"), env=environment(tmp_path), stderr=subprocess.PIPE, text=True
    )
    assert first.stderr is not None
    assert "ready" in first.stderr.readline()
    second = subprocess.run(
        command("info", "--broker", "127.0.0.1:1"),
        env=environment(tmp_path), capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    first.terminate()
    first.communicate()
    assert second.returncode == 3, second
